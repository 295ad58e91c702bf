"""Objects in memory: for tests, the simulator and small tools."""

from __future__ import annotations

from datetime import datetime

from workers.errors import StoreUnavailable
from workers.objects.port import StoredObject, check_key


class MemoryObjects:
    """See ``ObjectStore``. ``away`` makes every call fail, as a store that does not answer."""

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.away = False

    def put(self, key: str, content: bytes, *, mime: str) -> None:
        """See ``ObjectStore``."""
        self._answer()
        self.objects[check_key(key)] = StoredObject(content=content, mime=mime)

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore``."""
        self._answer()
        return self.objects.get(check_key(key))

    def delete(self, key: str) -> None:
        """See ``ObjectStore``."""
        self._answer()
        self.objects.pop(check_key(key), None)

    def link(self, key: str, *, until: datetime, file_name: str) -> str:
        """See ``ObjectStore``; nobody can follow it."""
        return f"memory:{check_key(key)}?until={int(until.timestamp())}&name={file_name}"

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")
