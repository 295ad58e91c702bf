"""Archives closed ranges of the log: a columnar copy of each in a vault, verified by reading it back. Rows stay.

A range is archived once, when it is whole and a head covers it. Its manifest, written last, says what the file holds;
a file without one counts for nothing. How rows become a file is the ``Format``'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.drivers import Driver
from ledger.follower import READ
from ledger.proof.errors import BadFile
from ledger.proof.merkle import Frontier
from ledger.proof.ports import Vault
from ledger.proof.reading import Reading, read_state
from ledger.sansio import Run

RANGE = 50_000
_PAGE = 5_000


class Format(Protocol):
    """How events become a file and come back."""

    @property
    def suffix(self) -> str:
        """End of a file's name."""
        ...

    def encode(self, events: Sequence[RecordedEvent]) -> bytes:
        """A file of events."""
        ...

    def decode(self, content: bytes) -> list[RecordedEvent]:
        """The events of a file.

        :raises BadFile: no such file.
        """
        ...


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of the archive holds: positions, rows, hashes of the last event before it and of its last, its root.

    ``root`` is the Merkle root over the range alone; ``sha256`` is of the file. Hashes are hex.
    """

    format: str = "tallystick-archive-v1"
    first: int
    last: int
    rows: int
    before_hash: str
    last_hash: str
    root: str
    file: str
    bytes: int
    sha256: str


class Archive:
    """The archive of a log in a vault, in ranges of ``size`` events."""

    def __init__(self, vault: Vault, form: Format, size: int = RANGE) -> None:
        self._vault = vault
        self._form = form
        self._size = size

    def manifests(self) -> list[Manifest]:
        """Manifests in the order of the log.

        :raises BadFile: one that cannot be read.
        """
        found: list[Manifest] = []
        for name in self._vault.names("manifests/"):
            content = self._vault.get(name)
            try:
                found.append(_decoder.decode(content or b""))
            except msgspec.MsgspecError as error:
                raise BadFile(f"{name} is no manifest: {error}") from error
        return found

    def extend(self, driver: Driver) -> list[Manifest]:
        """Archive every range that is whole and not archived yet; their manifests.

        :raises BadFile: the archive is of another log than this one, or of what this one has lost; a copy does not
            read back as what was written, or the archive has another one already.
        :raises VaultUnavailable: not now.
        """
        written: list[Manifest] = []
        manifests = self.manifests()
        last, before_hash = (manifests[-1].last, manifests[-1].last_hash) if manifests else (0, bytes(32).hex())
        if manifests:
            _check_continues(manifests[-1], driver)
        covered = driver.drive(_covered())
        while last + self._size <= covered:
            events = driver.drive(_events(last, self._size))
            manifest = self._write(events, before_hash)
            written.append(manifest)
            last, before_hash = manifest.last, manifest.last_hash
        return written

    def check(self, driver: Driver) -> list[str]:
        """Read every file back and compare it with its manifest, its neighbours and the log; what is wrong."""
        wrong: list[str] = []
        last, before_hash = 0, bytes(32).hex()
        for manifest in self.manifests():
            if (manifest.first, manifest.before_hash) != (last + 1, before_hash):
                wrong.append(f"{manifest.file} does not go on where the file before it ends, at {last}")
            try:
                events = self._read(manifest)
            except BadFile as error:
                wrong.append(str(error))
            else:
                wrong += _differing(manifest, events, driver)
            last, before_hash = manifest.last, manifest.last_hash
        return wrong

    def _write(self, events: Sequence[RecordedEvent], before_hash: str) -> Manifest:
        content = self._form.encode(events)
        first, last = events[0].position, events[-1].position
        manifest = Manifest(
            first=first,
            last=last,
            rows=len(events),
            before_hash=before_hash,
            last_hash=events[-1].hash.hex(),
            root=_root(events),
            file=f"events/{first:020d}-{last:020d}{self._form.suffix}",
            bytes=len(content),
            sha256=sha256(content).hexdigest(),
        )
        self._vault.put(manifest.file, content)
        if self._read(manifest) != list(events):
            raise BadFile(f"{manifest.file} does not read back as what was written")
        self._vault.put(f"manifests/{first:020d}-{last:020d}.json", msgspec.json.encode(manifest))
        return manifest

    def _read(self, manifest: Manifest) -> list[RecordedEvent]:
        content = self._vault.get(manifest.file)
        if content is None:
            raise BadFile(f"{manifest.file} is gone")
        if (len(content), sha256(content).hexdigest()) != (manifest.bytes, manifest.sha256):
            raise BadFile(f"{manifest.file} is not what its manifest says")
        events = self._form.decode(content)
        positions = [event.position for event in events]
        said = (manifest.rows, manifest.last_hash, manifest.root)
        if positions != list(range(manifest.first, manifest.last + 1)) or said != (
            len(events),
            events[-1].hash.hex(),
            _root(events),
        ):
            raise BadFile(f"{manifest.file} does not hold the events that its manifest says")
        return events


def _covered() -> Reading[int]:
    """Up to where the tree goes: a range is closed once it is in the tree."""
    size, _ = yield from read_state()
    return size


def _check_continues(manifest: Manifest, driver: Driver) -> None:
    """Check that the log goes on from the archive's last file.

    :raises BadFile: it is shorter, or another.
    """
    found = driver.drive(_event_at(manifest.last))
    if found is None:
        differs = "which this log does not have"
    elif found.hash.hex() != manifest.last_hash:
        differs = "which is another in this log"
    else:
        return
    raise BadFile(
        f"the archive ends with event {manifest.last}, {differs}: nothing is written. Archive to another place; "
        "if this log should have that event, see tallystick recover"
    )


def _event_at(position: int) -> Reading[RecordedEvent | None]:
    events: list[RecordedEvent] = yield Run(READ, {"after": position - 1, "limit": 1})
    return events[0] if events else None


def _events(after: int, count: int) -> Reading[list[RecordedEvent]]:
    found: list[RecordedEvent] = []
    while len(found) < count:
        limit = min(_PAGE, count - len(found))
        events: list[RecordedEvent] = yield Run(READ, {"after": after + len(found), "limit": limit})
        found += events
        assert len(events) == limit, "the tree covers what the log does not have: run tallystick verify"
    return found


def _differing(manifest: Manifest, events: Sequence[RecordedEvent], driver: Driver) -> list[str]:
    """Events of a file that are not the log's; the log may have lost them."""
    stored = driver.drive(_stored(manifest))
    wrong = next((one.position for one, other in zip(events, stored, strict=False) if one != other), None)
    if wrong is None and len(stored) < len(events):
        wrong = manifest.first + len(stored)
    return [] if wrong is None else [f"event {wrong} is not in the log as it is in {manifest.file}"]


def _stored(manifest: Manifest) -> Reading[list[RecordedEvent]]:
    found: list[RecordedEvent] = []
    while len(found) < manifest.rows:
        limit = min(_PAGE, manifest.rows - len(found))
        events: list[RecordedEvent] = yield Run(READ, {"after": manifest.first - 1 + len(found), "limit": limit})
        found += events
        if len(events) < limit:
            break
    return found


def _root(events: Iterable[RecordedEvent]) -> str:
    frontier = Frontier()
    for event in events:
        frontier.add(event.hash)
    return frontier.root().hex()


_decoder = msgspec.json.Decoder(Manifest)
