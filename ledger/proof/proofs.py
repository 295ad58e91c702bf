"""What is handed to others: one event with its place under a signed head, in JSON that a stranger can check offline.

Times are microseconds since 1970, hashes hex, amounts as in the event (micro-credits).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.proof import merkle
from ledger.proof.errors import NotCovered, UnknownPosition
from ledger.proof.heads import HeadLine, SignedHead, line_of
from ledger.proof.merkle import Place, Range, needed, range_hash
from ledger.proof.reading import Reading, read_nodes
from ledger.proof.statements import EVENT
from ledger.sansio import Row, Run
from ledger.writer.chain import GENESIS, NO_KEY, expected_hash, microseconds


class EventFields(Struct, frozen=True, kw_only=True):
    """All that an event's hash is over, in hex where it is bytes; zeros where there is no key."""

    position: int
    stream_id: str
    version: int
    recorded_at_us: int
    effective_at_us: int
    key_hash: str
    stream_hash: str
    log_hash: str
    tag: str
    state: str


class ConsistencyProof(Struct, frozen=True, kw_only=True):
    """That the tree of a size is how a later one began."""

    format: Literal["tallystick-consistency-v1"] = "tallystick-consistency-v1"
    first_size: int
    first_root: str
    second_size: int
    second_root: str
    path: list[str]
    head: HeadLine | None = None


class Later(Struct, frozen=True, kw_only=True):
    """A later head, and the path that shows how it goes on from another."""

    path: list[str]
    head: HeadLine


class EventProof(Struct, frozen=True, kw_only=True):
    """That an event is in the log under a signed head; ``public_key`` is for convenience, not for trust.

    ``later``: the head is how a later one began.
    """

    format: Literal["tallystick-event-v1"] = "tallystick-event-v1"
    event: EventFields
    path: list[str]
    head: HeadLine
    public_key: str
    later: Later | None = None


def event_proof(position: int, signed: SignedHead, keys: Mapping[str, bytes]) -> Reading[EventProof]:
    """Prove an event under a head whose key is in ``keys``.

    :raises UnknownPosition, NotCovered: it cannot be.
    """
    rows: list[Row] = yield Run(EVENT, {"position": position})
    if not rows:
        raise UnknownPosition(position)
    size = signed.head.size
    if position > size:
        raise NotCovered(position, size)
    path = yield from _hashes(merkle.inclusion_ranges(position - 1, size))
    return EventProof(event=_fields(rows[0]), path=path, head=line_of(signed), public_key=keys[signed.key_id].hex())


def consistency_proof(first: int, second: int, signed: SignedHead | None = None) -> Reading[ConsistencyProof]:
    """Prove that the tree of the first size is how the second began; ``signed`` is the second's head, if there is one.

    :raises NotCovered: the tree does not go so far.
    """
    ranges = merkle.consistency_ranges(first, second)
    whole: list[Range] = [(0, first), (0, second)]
    nodes = yield from read_nodes(needed([*ranges, *whole]))
    first_root, second_root = (range_hash(nodes, *one).hex() for one in whole)
    return ConsistencyProof(
        first_size=first,
        first_root=first_root,
        second_size=second,
        second_root=second_root,
        path=_range_hashes(nodes, ranges),
        head=line_of(signed) if signed else None,
    )


def _hashes(ranges: list[Range]) -> Reading[list[str]]:
    nodes = yield from read_nodes(needed(ranges))
    return _range_hashes(nodes, ranges)


def _range_hashes(nodes: Mapping[Place, bytes], ranges: list[Range]) -> list[str]:
    return [range_hash(nodes, *one).hex() for one in ranges]


def _fields(row: Row) -> EventFields:
    stream_hash: bytes = row.pop("stream_hash") or GENESIS
    log_hash: bytes = row.pop("log_hash") or GENESIS
    event = RecordedEvent(**row)
    assert event.hash == expected_hash(event, stream_hash=stream_hash, log_hash=log_hash), "run tallystick verify"
    return EventFields(
        position=event.position,
        stream_id=event.stream_id.hex,
        version=event.version,
        recorded_at_us=microseconds(event.recorded_at),
        effective_at_us=microseconds(event.effective_at),
        key_hash=(event.key_hash or NO_KEY).hex(),
        stream_hash=stream_hash.hex(),
        log_hash=log_hash.hex(),
        tag=event.tag,
        state=event.state.hex(),
    )


def encode(proof: EventProof | ConsistencyProof | HeadLine) -> bytes:
    """As written to a file: JSON for people's eyes, too."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n"
