"""What the ledger's routes are made of: the table of kinds, what repeats are compared by, events of adjustments."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Invalid
from api.ledger import bodies
from api.ledger.adjustments import AdjustmentApproved, AdjustmentProposed, has_ended, read_proposal
from api.ledger.asked import Asked, compared, derived, plain
from api.ledger.batches import ALONE, BatchIn, asked
from api.ledger.desk import Desk
from api.ledger.kinds import KINDS
from api.limits import PROPOSAL_LIFE_S
from api.problem_types import PROBLEM_TYPES
from customers.domain.keys import Principal
from customers.domain.scopes import SCOPES
from ledger.amounts import format_credits, parse_credits
from ledger.domain import commands
from ledger.domain.codec import RecordedEvent, encode_event

BY_NAME = {kind.name: kind for kind in KINDS}
INTERNAL = {"ExpireHold", "ExpireGrants", "AdjustBalance"}
"""What time does, and what two operators do."""

PROPOSED = AdjustmentProposed(
    organisation_id=UUID(int=1),
    account_id=UUID(int=2),
    amount_ucr=-2_500_000,
    cause="correction",
    operator_id=UUID(int=3),
    reason="counted-twice",
    effective_at=datetime(2026, 1, 1, tzinfo=UTC),
)
SAMPLES = (PROPOSED, AdjustmentApproved(operator_id=UUID(int=4)))
FROZEN = (Path(__file__).parents[2] / "data" / "api" / "events.jsonl").read_text().splitlines()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_command_has_its_address() -> None:
    made = {kind.make.__annotations__["return"] for kind in KINDS}
    assert made == {"commands.Command"}
    assert len(KINDS) == len(get_args(commands.Command)) - len(INTERNAL)


def test_kinds_name_scopes_and_problems_that_there_are() -> None:
    for kind in KINDS:
        assert kind.scope in SCOPES, kind.name
        assert set(kind.refusals) <= set(PROBLEM_TYPES), kind.name
        assert msgspec.convert(kind.example, kind.body), kind.name


@given(st.integers(1, 10**15), st.integers(0, 6))
def test_equal_amounts_are_compared_as_equal(amount_ucr: int, zeros: int) -> None:
    text = format_credits(amount_ucr)
    padded = f"{text if '.' in text else text + '.'}{'0' * zeros}".rstrip(".")
    assert plain(padded) == plain(text) == text
    assert parse_credits(plain(text)) == amount_ucr


def test_a_repeat_is_compared_by_what_was_sent_not_by_whose_it_is_or_whether_it_is_a_try() -> None:
    kind, hold = BY_NAME["commit-hold"], uuid4()
    body = kind.body(amount="2.50", account_id=f"acc_{'0' * 32}", dry_run=True)  # type: ignore[call-arg]
    assert compared(Asked(kind, body, "k", hold)) == {"amount": "2.5", "hold_id": hold}
    other = kind.body(amount="2.5", final=False, expected_account_version=7)  # type: ignore[call-arg]
    assert compared(Asked(kind, other, "k", hold)) == {
        "amount": "2.5", "final": False, "expected_account_version": 7, "hold_id": hold
    }  # fmt: skip


def test_no_pattern_of_a_body_lets_a_line_end_through() -> None:
    for name, hint in vars(bodies).items():
        for meta in getattr(hint, "__metadata__", ()):
            pattern = meta.pattern if isinstance(meta, msgspec.Meta) else None
            assert pattern is None or pattern.endswith(r"\Z"), name


NO_ID = f"{'0' * 32}\n"
WRONG = {
    "account_id": ("debit", {"amount": "1", "reason": "r", "account_id": f"acc_{NO_ID}"}),
    "to_account_id": ("transfer", {"amount": "1", "reason": "r", "to_account_id": f"acc_{NO_ID}"}),
    "budgets/0": ("debit", {"amount": "1", "reason": "r", "budgets": [f"budget_{NO_ID}"]}),
}


@pytest.mark.parametrize("field", WRONG)
def test_an_id_that_no_pattern_stopped_is_told_at_its_place_all_the_same(field: str) -> None:
    name, sent = WRONG[field]
    item = Asked(BY_NAME[name], BY_NAME[name].body(**sent), "k", where="/operations/7")
    services = cast("Any", SimpleNamespace(owners=None, crossing=None, ids=SimpleNamespace(new=uuid4)))
    principal = Principal(organisation_id=uuid4(), account_id=uuid4(), key_id=uuid4(), scopes=frozenset(SCOPES))
    with pytest.raises(Invalid) as refused:
        asyncio.run(Desk(services).do(principal, [item]))
    assert [fault.pointer for fault in refused.value.faults] == [f"/operations/7/{field}"]


def test_what_an_operation_of_a_batch_names_is_told_at_its_place_too() -> None:
    (made,) = [one for one, kind in ALONE.items() if kind.name == "release-hold"]
    operation: Any = made(idempotency_key="k", hold_id=f"hold_{NO_ID}")
    with pytest.raises(Invalid) as refused:
        asked(BatchIn(operations=[operation]))
    assert [fault.pointer for fault in refused.value.faults] == ["/operations/0/hold_id"]


def test_ids_of_a_group_follow_from_its_own() -> None:
    group = uuid4()
    made = [derived(group, index) for index in range(32)]
    assert len(set(made)) == 32 and made == [derived(group, index) for index in range(32)]
    assert all(one.variant == group.variant and one.version == group.version for one in made)
    assert not set(made) & {derived(uuid4(), index) for index in range(32)}


@pytest.mark.parametrize(("event", "line"), list(zip(SAMPLES, FROZEN, strict=True)))
def test_a_frozen_sample_of_every_tag_is_read_and_written_as_it_was(event: msgspec.Struct, line: str) -> None:
    assert msgspec.json.decode(line, type=type(event)) == event
    assert encode_event(event).state == line.encode()


@pytest.mark.parametrize(
    ("age_s", "approved", "ended"),
    [(0, False, False), (PROPOSAL_LIFE_S, False, False), (PROPOSAL_LIFE_S + 1, False, True), (0, True, True)],
)
def test_a_proposal_can_be_approved_once_and_for_a_week_and_is_read_for_ever(
    age_s: int, approved: bool, ended: bool
) -> None:
    stream = [recorded(event) for event in SAMPLES[: 1 + approved]]
    assert has_ended(stream, NOW + timedelta(seconds=age_s)) is ended
    assert read_proposal(stream, PROPOSED.organisation_id) == PROPOSED


@pytest.mark.parametrize("stream", [[], [SAMPLES[1]], [PROPOSED]])
def test_what_was_not_proposed_here_is_unknown(stream: list[msgspec.Struct]) -> None:
    assert read_proposal([recorded(event) for event in stream], uuid4()) is None


def recorded(event: msgspec.Struct) -> RecordedEvent:
    tag, state = encode_event(event)
    return RecordedEvent(1, uuid4(), 1, tag, state, NOW, NOW, None, b"")
