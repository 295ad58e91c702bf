"""The keys that sign heads, in a folder: the private one readable by its owner alone, public ones kept for ever."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.proof.heads import Keyring, Signer, key_id
from tallystick.errors import NotReady

_PRIVATE = "private.pem"


class HeadKeys:
    """Signer and keyring in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signer(self, *, make: bool) -> Signer:
        """The key that signs now; made on first use if ``make``.

        :raises NotReady: there is none, or it is no Ed25519 key.
        """
        path = self._folder / _PRIVATE
        if not path.exists():
            if not make:
                raise NotReady(f"there is no key that signs heads in {self._folder}: run tallystick heads key --make")
            self._make(path, over=False)
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise NotReady(f"{path} is no Ed25519 key")
        return Signer(key)

    def rotate(self) -> Signer:
        """Sign with a new key from now on; what the old one signed stays verifiable, its private half is gone."""
        self.signer(make=True)
        self._make(self._folder / _PRIVATE, over=True)
        return self.signer(make=False)

    def keyring(self) -> Keyring:
        """All public keys there are, by id."""
        keys = [bytes.fromhex(path.read_text().strip()) for path in sorted(self._folder.glob("*.pub"))]
        return {key_id(key): key for key in keys}

    def _make(self, path: Path, *, over: bool) -> None:
        """Write a new key; of several processes that start together one wins, and all read its."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = Signer(key := Ed25519PrivateKey.generate())
        beside = path.with_name(f".{fresh.key_id}.pem")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            opened.flush()
            os.fsync(opened.fileno())
        (self._folder / f"{fresh.key_id}.pub").write_text(fresh.public_key.hex() + "\n")
        if over:
            beside.replace(path)
            return
        with suppress(FileExistsError):
            os.link(beside, path)
        beside.unlink()
