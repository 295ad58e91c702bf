"""What proofs ask of the world outside the database: places for copies, written once and never over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ledger.proof.heads import SignedHead


class HeadTarget(Protocol):
    """Where signed heads are kept, outside the database. Nothing there is ever written over."""

    def append(self, head: SignedHead) -> None:
        """Keep a head, durably.

        :raises VaultUnavailable: it is not kept, or perhaps.
        """
        ...

    def heads(self) -> Iterator[SignedHead]:
        """All heads in the order in which they were kept.

        :raises VaultUnavailable, BadFile: it cannot be read.
        """
        ...

    def last(self) -> SignedHead | None:
        """The head kept last. Raises as ``heads``."""
        ...


class Vault(Protocol):
    """Files outside the database, each written once."""

    def put(self, name: str, content: bytes) -> None:
        """Write a file, durably; the same content again is nothing new.

        :raises BadFile: there is one of that name with another content.
        :raises VaultUnavailable: it is not written, or perhaps.
        """
        ...

    def get(self, name: str) -> bytes | None:
        """A file's content, None where there is none.

        :raises VaultUnavailable: it cannot be read.
        """
        ...

    def names(self, prefix: str) -> list[str]:
        """Names of the files that begin so, sorted. Raises as ``get``."""
        ...
