"""Amounts, ids, keys and hashes as text and bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger import ids
from ledger.amounts import format_credits, parse_credits
from ledger.domain import codec, commands, events
from ledger.domain.codec import NewEvent, account_event, encode_event, is_account_event
from ledger.limits import AMOUNT_MAX_UCR
from ledger.writer.chain import GENESIS, Link
from ledger.writer.keys import (
    command_body,
    differing_field,
    digests,
    key_hash,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@given(st.integers(1, AMOUNT_MAX_UCR))
def test_feature_M1_2_credits_have_six_decimals_and_never_round(amount_ucr: int) -> None:
    assert parse_credits(format_credits(amount_ucr)) == amount_ucr


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", "-1", "+1", "1e3", "1.", ".5", "01", "1.0000001", "10" * 15, " 1", "1,5", "NaN", "\u0661", "1\n"],
)
def test_what_is_no_plain_positive_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_credits(text)


@pytest.mark.parametrize(("amount_ucr", "text"), [(0, "0"), (-12_500_000, "-12.5"), (1, "0.000001"), (10**6, "1")])
def test_credits_are_written_as_short_as_they_are_exact(amount_ucr: int, text: str) -> None:
    assert format_credits(amount_ucr) == text


def test_an_id_is_read_only_as_the_kind_it_was_written() -> None:
    value = uuid4()
    assert ids.parse("job", ids.render("job", value)) == value
    for text in (ids.render("acc", value), value.hex, f"job_{value.hex.upper()}", "job_", f"job_{value}"):
        with pytest.raises(ValueError, match="expected job_"):
            ids.parse("job", text)


def test_uuid7_orders_by_time_and_says_its_version() -> None:
    first, second = ids.uuid7(1, b"\xff" * 10), ids.uuid7(2, bytes(10))
    assert first < second and first.version == second.version == 7 and first.variant == second.variant


def test_a_conflict_names_the_first_field_that_differs() -> None:
    def differs(stored: dict[str, object], sent: dict[str, object]) -> str | None:
        return differing_field(digests(stored, b"secret"), digests(sent, b"secret"), sorted(sent))

    assert differs({"a": 1, "b": "x"}, {"b": "x", "a": 1}) is None
    assert differs({"a": 1, "b": "x"}, {"a": 1, "b": "y"}) == "b"
    assert differs({"a": 1}, {"a": 1, "z": 0}) == "z"
    assert differs({"a": 1, "b": 1}, {"a": 1}) == "body"
    assert differs({"a": 1, "b": 2}, {"a": 2, "b": 1}) == "a"
    assert digests({"a": 1}, b"secret") != digests({"a": 1}, b"another secret")


def test_a_field_with_its_default_is_not_compared_so_that_a_new_one_changes_no_key() -> None:
    command = commands.CommitHold(account_id=uuid4(), hold_id=uuid4(), amount_ucr=7)
    assert set(command_body(command)) == {"hold_id", "amount_ucr"}
    assert set(command_body(replace(command, final=False))) == {"hold_id", "amount_ucr", "final"}


def test_ids_that_we_mint_are_left_out_of_what_is_compared() -> None:
    one, two = uuid4(), uuid4()
    hold = commands.HoldCredits(account_id=one, hold_id=two, amount_ucr=1, lease_s=1)
    assert set(command_body(replace(hold, reference=one))) == {"amount_ucr", "lease_s", "reference"}
    release = commands.ReleaseHold(account_id=one, hold_id=two, reason="x")
    assert set(command_body(release)) == {"hold_id", "reason"}
    commit = commands.CommitHold(account_id=one, hold_id=two, amount_ucr=1)
    assert "hold_id" in command_body(commit)
    assert command_body(None) == {}


def test_a_key_is_its_scope_operation_and_text() -> None:
    scope = uuid4()
    hashes = {
        key_hash(scope, "hold", "k"),
        key_hash(uuid4(), "hold", "k"),
        key_hash(scope, "holdk", ""),
        key_hash(scope, "debit", "k"),
    }
    assert len(hashes) == 4 and all(len(one) == 16 for one in hashes)


def test_a_hash_covers_everything_that_is_stored() -> None:
    base = {
        "position": 7,
        "stream_id": UUID(int=1),
        "version": 3,
        "key_hash": bytes(16),
        "stream_hash": GENESIS,
        "log_hash": GENESIS,
    }
    link, event = Link(NOW, NOW), NewEvent("ledger.x.v1", b"{}")
    seen = {link.hash(event, **base)}
    changes = {
        "position": 8,
        "stream_id": UUID(int=2),
        "version": 4,
        "key_hash": b"k" * 16,
        "stream_hash": b"s" * 32,
        "log_hash": b"l" * 32,
    }
    seen |= {link.hash(event, **(base | {name: value})) for name, value in changes.items()}
    seen |= {
        link.hash(NewEvent(tag, state), **base) for tag, state in (("ledger.y.v1", b"{}"), ("ledger.x.v1", b"{ }"))
    }
    seen |= {
        Link(NOW, NOW.replace(microsecond=1)).hash(event, **base),
        Link(NOW.replace(year=2027), NOW).hash(event, **base),
    }
    assert len(seen) == 1 + 6 + 2 + 2


OTHER_STREAMS = (events.BudgetSet, events.VerdictsSealed, events.LogForked)
LINES = Path(__file__).parents[2].joinpath("data/ledger/events.jsonl").read_bytes().splitlines()
SAMPLES: dict[str, str] = {line["tag"]: line["state"] for line in map(json.loads, LINES)}


def test_every_tag_has_a_frozen_sample() -> None:
    kinds = (*events.AccountEvent.__args__, *OTHER_STREAMS)
    assert {codec.tag_of(kind) for kind in kinds} == set(SAMPLES)


def test_a_tag_says_whether_its_stream_is_an_accounts() -> None:
    assert all(is_account_event(codec.tag_of(kind)) for kind in events.AccountEvent.__args__)
    assert not any(is_account_event(codec.tag_of(kind)) for kind in OTHER_STREAMS)
    assert is_account_event("ledger.from-the-future.v9") and not is_account_event("workers.job-accepted.v1")


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_frozen_sample_is_read_and_written_as_it_was(tag: str) -> None:
    if is_account_event(tag):
        event, state = account_event(bytes.fromhex(SAMPLES[tag])), bytes.fromhex(SAMPLES[tag])
    else:
        kind = next(kind for kind in OTHER_STREAMS if codec.tag_of(kind) == tag)
        event, state = msgspec.json.decode(SAMPLES[tag], type=kind), SAMPLES[tag].encode()
    assert encode_event(event) == NewEvent(tag, state)
