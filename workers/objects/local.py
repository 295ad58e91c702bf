"""Objects in a folder: written beside, forced to disk, renamed into place. Links are signed and served by the API."""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import get_ident
from urllib.parse import quote, urlencode

from workers.errors import LinkInvalid, StoreUnavailable
from workers.objects.port import KEY, KEY_CHARS_MAX, StoredObject, check_key

_MIMES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
_OTHER = "application/octet-stream"


class LocalObjects:
    """See ``ObjectStore``. ``base_url`` is the address under which the API serves ``<base_url>/<key>``.

    An object's type is its key's ending, as everywhere on a disk.
    """

    def __init__(self, folder: Path, *, secret: bytes, base_url: str) -> None:
        self._folder = folder
        self._secret = secret
        self._base_url = base_url.rstrip("/")
        self._numbers = count()

    def put(self, key: str, content: bytes, *, mime: str) -> None:
        """See ``ObjectStore``."""
        path = self._path(key)
        assert _mime(path) == mime, f"{key} does not end as {mime} does"
        beside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.{next(self._numbers)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(beside, content)
            beside.replace(path)
            self._sync_folders(path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise StoreUnavailable(f"the folder of pictures cannot be written: {error.strerror}") from error

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore``."""
        path = self._path(key)
        try:
            return StoredObject(content=path.read_bytes(), mime=_mime(path))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f"the folder of pictures cannot be read: {error.strerror}") from error

    def delete(self, key: str) -> None:
        """See ``ObjectStore``; folders that are empty then go too."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"the folder of pictures cannot be written: {error.strerror}") from error
        for parent in path.parents:
            if parent == self._folder or not _remove_empty(parent):
                return

    def link(self, key: str, *, until: datetime, file_name: str) -> str:
        """See ``ObjectStore``."""
        ends = int(until.timestamp())
        query = {"until": ends, "name": file_name, "signature": self._sign(check_key(key), ends, file_name)}
        return f"{self._base_url}/{quote(key)}?{urlencode(query)}"

    def open_link(self, key: str, *, until: int, file_name: str, signature: str, now: datetime) -> StoredObject:
        """What a link shows; its parts are as in its query, and nothing of them is trusted.

        :raises LinkInvalid: altered, ended, or the object is gone.
        """
        if not KEY.fullmatch(key) or len(key) > KEY_CHARS_MAX:
            raise LinkInvalid("no such object")
        if not hmac.compare_digest(self._sign(key, until, file_name).encode(), signature.encode()):
            raise LinkInvalid("the link was altered")
        if now >= datetime.fromtimestamp(until, UTC):
            raise LinkInvalid("the link has ended")
        found = self.get(key)
        if found is None:
            raise LinkInvalid("no such object")
        return found

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    def _sign(self, key: str, until: int, file_name: str) -> str:
        message = "\n".join((key, str(until), file_name)).encode()
        return hmac.new(self._secret, message, sha256).hexdigest()

    def _sync_folders(self, folder: Path) -> None:
        """Force the names to disk, up to our own folder."""
        while True:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if folder == self._folder:
                return
            folder = folder.parent


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _mime(path: Path) -> str:
    return _MIMES.get(path.suffix, _OTHER)


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
