"""Events and verdicts as bytes: what carries a tag, what is read back, what a newer release wrote."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import Struct

from ledger import errors
from ledger.domain import codec, events
from ledger.domain.codec import (
    RecordedEvent,
    account_event,
    as_json,
    encode_event,
    is_account_event,
    is_of_commands,
    tag_of,
)
from ledger.domain.events import Slice
from ledger.domain.verdicts import Answer, Done, Refused, decode_verdict, encode_verdict, refused
from tests.support.domain import G1, H1, JOB, NOON, Life, after

HELD = events.CreditsHeld(hold_id=H1, amount_ucr=5, slices=(Slice(G1, 5),), lease_until=after(60), reference=JOB)
SET = events.VerdictsSealed(count=1, sha256="00")


class Untagged(Struct):
    """No event: nobody could tell what it is."""

    text: str = "x"


class Undotted(Struct, tag="untold"):
    """No event either: its tag names no package."""


def recorded(tag: str, raw: bytes) -> RecordedEvent:
    return RecordedEvent(1, JOB, 1, tag, raw, NOON, NOON, None, b"")


def test_an_accounts_event_is_an_array_that_begins_with_its_tag() -> None:
    tag_of.cache_clear()
    tag, raw = encode_event(HELD)
    assert tag == "ledger.credits-held.v1"
    assert msgspec.msgpack.decode(raw)[0] == tag and H1.bytes in raw
    assert account_event(raw) == HELD


def test_any_other_event_is_a_json_object() -> None:
    tag, raw = encode_event(SET)
    assert (tag, json.loads(raw)) == ("ledger.log.verdicts-sealed.v1", {"type": tag, "count": 1, "sha256": "00"})


def test_a_struct_without_a_proper_tag_is_no_event() -> None:
    tag_of.cache_clear()
    for kind in (Untagged, Undotted):
        with pytest.raises(AssertionError, match=rf"^{kind.__name__} has no tag$"):
            tag_of(kind)


def test_an_event_of_a_newer_release_is_told_apart() -> None:
    for raw in (b"\x91\xa1x", msgspec.msgpack.encode(["ledger.from-the-future.v1"]), b"\xc1"):
        with pytest.raises(msgspec.DecodeError):
            account_event(raw)
    with pytest.raises(msgspec.ValidationError):
        as_json(recorded("ledger.from-the-future.v1", msgspec.msgpack.encode(["ledger.from-the-future.v1"])))


def test_a_tag_says_whose_stream_it_is() -> None:
    is_account_event.cache_clear()
    for tag, own in (
        ("ledger.credits-held.v1", True),
        ("ledger.from-the-future.v9", True),
        ("ledger.budget.set.v1", False),
        ("ledger.v1", False),
        ("workers.job-accepted.v1", False),
        ("xledger.credits-held.v1", False),
    ):
        assert is_account_event(tag) is own
        assert is_of_commands(tag) is (own or tag == "ledger.budget.set.v1")
    assert is_of_commands("ledger.budget.set.v1")


def test_readers_see_an_accounts_event_with_its_fields_named() -> None:
    tag, raw = encode_event(HELD)
    said: dict[str, Any] = json.loads(as_json(recorded(tag, raw)))
    assert list(said)[:3] == ["type", "hold_id", "amount_ucr"]
    assert (said["type"], said["hold_id"], said["amount_ucr"]) == (tag, str(H1), 5)
    assert (said["slices"], said["lease_until"]) == ([[str(G1), 5]], "2026-01-01T12:01:00Z")
    assert set(said) == {"type", *HELD.__struct_fields__}
    other = encode_event(SET)
    assert as_json(recorded(*other)) == other.state


def test_every_event_of_a_life_is_read_as_it_was_written() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant()
    life.hold()
    life.commit(amount_ucr=3)
    life.debit(amount_ucr=9)
    life.revoke()
    life.reverse(amount_ucr=1)
    for _, event, _, _ in life.log:
        tag, raw = encode_event(event)
        assert account_event(raw) == event and is_account_event(tag)
    assert codec.ACCOUNT_PREFIX == "ledger."


# Verdicts


def test_a_verdict_is_read_as_it_was_written() -> None:
    fields: dict[str, Any] = {"account_version": 2, "posted_ucr": 9, "held_ucr": 4, "frozen_ucr": 3}
    done = Done(position=1, **fields, recorded_at=NOON, subject_id=JOB)
    assert done.available_ucr == 2
    assert decode_verdict(encode_verdict(done)) == done and JOB.bytes in encode_verdict(done)
    assert Answer(done) == Answer(done, replayed=False) and Answer(done, replayed=True).replayed


@pytest.mark.parametrize("refusal", [errors.HoldUnknown(hold_id="x"), errors.VersionConflict(expected_version=1)])
def test_a_refusal_becomes_a_verdict_with_its_facts(refusal: errors.Refusal) -> None:
    verdict = refused(refusal, NOON, JOB)
    transient = isinstance(refusal, errors.VersionConflict)
    assert verdict == Refused(
        code=refusal.code, facts=dict(refusal.facts), transient=transient, recorded_at=NOON, subject_id=JOB
    )
    assert decode_verdict(encode_verdict(verdict)) == verdict
    assert refused(refusal, NOON, None).subject_id is None


def kinds(kind: type[errors.Refusal]) -> list[type[errors.Refusal]]:
    return [found for one in kind.__subclasses__() for found in (one, *kinds(one))]


def test_every_refusal_has_a_code_of_its_own_and_stands_in_the_tree() -> None:
    found = [kind for kind in kinds(errors.Refusal) if kind.__module__ == errors.__name__]
    codes = [kind.code for kind in found]
    assert len(set(codes)) == len(codes) and "refused" not in codes
    drawn = [line.split() for line in (errors.__doc__ or "").splitlines() if " Account" in line or "── " in line]
    told = {parts[1]: (parts[2], parts[-1] == "(transient)") for parts in drawn if len(parts) > 2}
    for kind in found:
        assert told[kind.__name__] == (kind.code, kind.transient)
    assert UUID(int=1)
