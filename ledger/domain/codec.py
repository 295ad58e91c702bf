"""Events to bytes and back. The ledger writes what it is given and decodes only account events."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ledger.domain.events import AccountEvent, BudgetSet, Event

ACCOUNT_PREFIX = "ledger."
_ACCOUNT_TAG_DOTS = 2
_encoder = msgspec.json.Encoder()
encode_account_event = msgspec.msgpack.Encoder(uuid_format="bytes").encode


class NewEvent(NamedTuple):
    """An event that is not recorded yet: its tag and its bytes, which carry the tag too."""

    tag: str
    state: bytes


class RecordedEvent(NamedTuple):
    """An event of the log. ``position`` is its place in the log, ``version`` its place in the stream."""

    position: int
    stream_id: UUID
    version: int
    tag: str
    state: bytes
    recorded_at: datetime
    effective_at: datetime
    key_hash: bytes | None
    hash: bytes


@cache
def is_account_event(tag: str) -> bool:
    """Whether a tag belongs to the stream of an account, known to us or not; see ``ledger.domain.events``."""
    return tag.startswith(ACCOUNT_PREFIX) and tag.count(".") == _ACCOUNT_TAG_DOTS


@cache
def tag_of(kind: type[msgspec.Struct]) -> str:
    """Tag of an event struct."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str) and "." in tag, f"{kind.__name__} has no tag"
    return tag


def is_of_commands(tag: str) -> bool:
    """Whether a tag belongs to a stream that commands alone write: an account's or a budget's."""
    return is_account_event(tag) or tag == tag_of(BudgetSet)


def encode_event(event: msgspec.Struct) -> NewEvent:
    """Encode a tagged struct of any package: an account's as a MessagePack array, any other as a JSON object."""
    kind = type(event)
    return NewEvent(tag_of(kind), (encode_account_event if issubclass(kind, Event) else _encoder.encode)(event))


def account_event(state: bytes) -> AccountEvent:
    """Decode an event of an account stream.

    :raises msgspec.ValidationError: unknown tag or field.
    """
    return _account_decoder.decode(state)


def as_json(event: RecordedEvent) -> bytes:
    """What an event says, as JSON for a reader: an account's with its fields named.

    :raises msgspec.ValidationError: an account's event of a newer release.
    """
    if not is_account_event(event.tag):
        return event.state
    said = account_event(event.state)
    named = {"type": event.tag} | {name: getattr(said, name) for name in said.__struct_fields__}
    return _encoder.encode(named)


_account_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AccountEvent)
