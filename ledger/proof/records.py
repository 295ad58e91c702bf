"""What an export is made of: JSON lines of a header, events with the verdicts behind them, and a footer. Pure.

Bytes are base64, times RFC 3339 in UTC to the microsecond. The footer counts, and says the hash of the last event and
the SHA-256 over all lines before it, so that a file that was cut or patched is not taken for a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import IO
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.proof.errors import BadFile

FORMAT = "tallystick-log-v1"


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="header"):
    """First line: the kind of file, and how many events are to come."""

    format: str = FORMAT
    size: int


class EventLine(Struct, frozen=True, array_like=True, tag="event"):
    """An event as stored."""

    position: int
    stream_id: UUID
    version: int
    tag_: str
    state: bytes
    recorded_at: datetime
    effective_at: datetime
    key_hash: bytes | None
    hash: bytes

    def event(self) -> RecordedEvent:
        """As the log has it."""
        return RecordedEvent(*(getattr(self, name) for name in EventLine.__struct_fields__))


class VerdictLine(Struct, frozen=True, array_like=True, tag="verdict"):
    """A verdict as stored."""

    position: int
    key_hash: bytes
    digests: bytes
    verdict: bytes


class Footer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="footer"):
    """Last line."""

    events: int
    verdicts: int
    head_hash: bytes
    sha256: str


Line = EventLine | VerdictLine
_array_decoder = msgspec.json.Decoder(Line)
_header_decoder = msgspec.json.Decoder(Header)
_footer_decoder = msgspec.json.Decoder(Footer)
_encoder = msgspec.json.Encoder()


class Writer:
    """Writes lines and keeps the hash over them."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._digest = sha256()

    def lines(self, lines: list[Line | Header]) -> None:
        """Write some lines."""
        raw = b"".join([part for line in lines for part in (_encoder.encode(line), b"\n")])
        self._digest.update(raw)
        self._write(raw)

    def end(self, *, events: int, verdicts: int, head_hash: bytes) -> Footer:
        """Write the footer."""
        footer = Footer(events=events, verdicts=verdicts, head_hash=head_hash, sha256=self._digest.hexdigest())
        self._write(_encoder.encode(footer) + b"\n")
        return footer


class Reader:
    """Reads what ``Writer`` wrote. ``position`` is that of the last event."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = sha256()
        self.position = 0
        self._last = b""
        try:
            self.header = _header_decoder.decode(self._line())
        except msgspec.MsgspecError as error:
            raise BadFile("no export of a ledger") from error
        if self.header.format != FORMAT:
            raise BadFile(f"an export of another format: {self.header.format[:40]}")

    def __iter__(self) -> Iterator[Line]:
        """Lines up to the footer.

        :raises BadFile: cut, patched or broken; it names the last sound event.
        """
        while (raw := self._line(digested=False)).startswith(b"["):
            self._digest.update(raw)
            try:
                line: Line = _array_decoder.decode(raw)
            except msgspec.MsgspecError as error:
                raise BadFile(f"the line behind event {self.position} cannot be read", self.position) from error
            if isinstance(line, EventLine):
                self.position = line.position
            yield line
        self._last = raw

    def _line(self, *, digested: bool = True, end: bool = False) -> bytes:
        try:
            raw = self._file.readline()
        except (OSError, EOFError, ValueError) as error:
            raise BadFile(f"the file is cut or broken: {error}", self.position) from error
        if not raw.endswith(b"\n") and not end:
            raise BadFile("the file is cut: it has no end", self.position)
        if digested:
            self._digest.update(raw)
        return raw

    def end(self) -> Footer:
        """The footer, once all lines have been read.

        :raises BadFile: no footer, not of this content, or not the end.
        """
        try:
            footer = _footer_decoder.decode(self._last)
        except msgspec.MsgspecError as error:
            raise BadFile(f"the line behind event {self.position} cannot be read", self.position) from error
        if footer.sha256 != self._digest.hexdigest():
            raise BadFile("the file is not what was written: its hash differs", self.position)
        if self._line(end=True):
            raise BadFile("there is something behind the end of the file", self.position)
        return footer
