"""The port to the object store. Keys are ours (``jobs/<job>/<attempt>/<n>.png``); customers see signed links only."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Protocol

from msgspec import Struct

KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
"""What a key may be: lower-case parts that neither begin with a dot nor climb."""

KEY_CHARS_MAX = 512


class StoredObject(Struct, frozen=True, kw_only=True):
    """The bytes of one object and their type."""

    content: bytes
    mime: str


class ObjectStore(Protocol):
    """Safe to call from several threads. Every call may raise ``StoreUnavailable``: nothing is known then."""

    def put(self, key: str, content: bytes, *, mime: str) -> None:
        """Store an object whole, durable when this returns; again under the same key replaces it."""
        ...

    def get(self, key: str) -> StoredObject | None:
        """Read an object; None where there is none."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        ...

    def link(self, key: str, *, until: datetime, file_name: str) -> str:
        """A URL under which anybody reads the object until then; it is saved as ``file_name``."""
        ...


def check_key(key: str) -> str:
    """The key itself; a wrong one is a bug of ours."""
    assert KEY.fullmatch(key) and len(key) <= KEY_CHARS_MAX, f"not an object key: {key!r}"
    return key
