"""What is refused before the queue: all that could not be sent to a writer, or written by it, names its field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, cast, get_args
from uuid import UUID, uuid4

import msgspec
import pytest

from ledger import errors, limits
from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.ports import Companion, Request
from ledger.remote import protocol
from ledger.remote.protocol import Calls
from ledger.store.memory import MemoryLedger
from ledger.writer.prepare import Prepared, prepare
from tests.support.ledger import CREDIT, ManualClock, done, open_account, refused

SECRET = b"a secret for checks"
BEHIND, AHEAD = timezone(-timedelta(hours=23, minutes=59)), timezone(timedelta(hours=23, minutes=59))
LAST = datetime.max.replace(tzinfo=UTC)
EVENT = NewEvent("test.x.v1", b"{}")
NIL = UUID(int=0)


class NoOffset(tzinfo):
    """A zone that does not say how far it is from UTC."""

    def utcoffset(self, _: datetime | None, /) -> timedelta | None:
        return None


def giving(**more: Any) -> commands.GrantCredits:
    fields: dict[str, Any] = {"account_id": uuid4(), "grant_id": uuid4(), "amount_ucr": 1, "kind": "promo"}
    return commands.GrantCredits(**fields | more)


def asking(command: commands.Command | None = None, **more: Any) -> Request:
    fields: dict[str, Any] = {"key": "k", "operation": "o", "command": command or giving()}
    return Request(**fields | more)


def sent(prepared: Prepared) -> object:
    """What the writer reads of it."""
    frames = protocol.from_client()
    frames.size_max = 1_000_000
    frames.feed(protocol.frame(Calls([(1, [prepared])], [])))
    return frames.take()


def refuses(field: str, request: Request) -> None:
    with pytest.raises(errors.InvalidRequest) as refusal:
        prepare(request, SECRET)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "at",
    [
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=BEHIND),
        datetime(9999, 12, 31, 0, 1, tzinfo=BEHIND),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=AHEAD),
        datetime(1, 1, 1, tzinfo=AHEAD),
        datetime(2020, 1, 1),  # noqa: DTZ001  one without a zone is meant
        datetime(2020, 1, 1, tzinfo=NoOffset()),
    ],
    ids=str,
)
def test_a_date_that_cannot_be_told_in_utc_is_refused(at: datetime) -> None:
    said: dict[str, Any] = {"account_id": uuid4(), "reason": "r", "effective_at": at}
    adjusted: dict[str, Any] = {"cause": "correction", "operator_id": uuid4(), "approver_id": uuid4()}
    for command in (
        giving(effective_at=at),
        commands.ReverseDebit(**said, reversal_id=uuid4(), debit_id=uuid4()),
        commands.AdjustBalance(**said, **adjusted, adjustment_id=uuid4(), amount_ucr=1),
    ):
        refuses("effective_at", asking(command))


@pytest.mark.parametrize(
    "at",
    [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2000, 1, 1, 23, 59, tzinfo=AHEAD),
        LAST,
        LAST.astimezone(BEHIND),
        datetime(9999, 12, 31, 23, 59, tzinfo=AHEAD),
    ],
    ids=str,
)
def test_every_date_that_is_let_through_can_be_sent(at: datetime) -> None:
    assert sent(prepare(asking(giving(effective_at=at)), SECRET))


@pytest.mark.parametrize("number", [-1, limits.INT64_MAX + 1, 2**64, True, 1.0, float("nan")], ids=str)
def test_a_number_that_cannot_be_told_is_refused_wherever_it_stands(number: Any) -> None:
    refuses("cost_micro", asking(giving(cost_micro=number)))
    refuses("cost_micro", asking(linked=(giving(cost_micro=number),)))
    refuses("expected_account_version", asking(expected_account_version=number))
    refuses("companions", asking(on_accept=(Companion(uuid4(), number, (EVENT,)),)))
    refuses("companions", asking(on_refuse=(Companion(uuid4(), number, (EVENT,)),)))


def test_the_largest_numbers_can_be_sent() -> None:
    most = limits.INT64_MAX
    companion = Companion(uuid4(), most, (EVENT,))
    request = asking(giving(cost_micro=limits.VALUE_MAX_MICRO), expected_account_version=most, on_accept=(companion,))
    assert sent(prepare(request, SECRET))


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "x" * 54, "x" * 56])
def test_a_trace_that_is_none_is_refused(text: str) -> None:
    refuses("traceparent", asking(traceparent=text))
    assert sent(prepare(asking(traceparent="x" * 55), SECRET))


@pytest.mark.parametrize(
    "body",
    [{"reason": "\ud800"}, {"\ud800": 1}, {"reason": object()}, {"a": {1: 2}}, cast("dict[str, Any]", {1: 2, "a": 3})],
    ids=["text", "name", "no value", "numbered", "mixed names"],
)
def test_a_body_that_json_cannot_say_is_refused(body: dict[str, Any]) -> None:
    refuses("body", asking(body=body))


def test_a_body_that_is_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    refuses("body", asking(body={"a": deep}))


NAMED: dict[str, Any] = {"account_id": uuid4(), "amount_ucr": 1, "reason": "r"}
MAKING: dict[str, commands.Command] = {
    "account_id": commands.OpenAccount(account_id=NIL, organisation_id=uuid4()),
    "grant_id": giving(grant_id=NIL),
    "hold_id": commands.HoldCredits(account_id=uuid4(), hold_id=NIL, amount_ucr=1, lease_s=1),
    "debit_id": commands.DebitCredits(**NAMED, debit_id=NIL),
    "reversal_id": commands.ReverseDebit(**NAMED, debit_id=uuid4(), reversal_id=NIL),
    "transfer_id": commands.TransferCredits(**NAMED, to_account_id=uuid4(), transfer_id=NIL),
    "adjustment_id": commands.AdjustBalance(
        **NAMED, adjustment_id=NIL, cause="correction", operator_id=uuid4(), approver_id=uuid4()
    ),
}


@pytest.mark.parametrize("field", MAKING)
def test_nothing_is_made_under_an_id_of_zeros(field: str) -> None:
    refuses(field, asking(MAKING[field]))
    refuses(field, asking(linked=(cast("commands.AccountCommand", MAKING[field]),)))
    prepare(asking(msgspec.structs.replace(MAKING[field], **{field: uuid4()})), SECRET)


def test_every_command_that_mints_an_id_is_among_those() -> None:
    minting = {
        name for kind in get_args(commands.AccountCommand) for name in kind.minted if name in kind.__struct_fields__
    }
    assert set(MAKING) == minting


@pytest.mark.parametrize("overdraft_limit_ucr", [0, 5 * CREDIT])
def test_what_is_asked_of_an_id_of_zeros_is_unknown(overdraft_limit_ucr: int) -> None:
    ledger = MemoryLedger(ManualClock())
    account_id = open_account(ledger, credit=1, overdraft_limit_ucr=overdraft_limit_ucr)
    named: dict[str, Any] = {"account_id": account_id}
    if overdraft_limit_ucr:
        done(ledger, commands.DebitCredits(**named, debit_id=uuid4(), amount_ucr=3 * CREDIT, reason="r"))
    asked: list[commands.Command] = [
        commands.ExtendGrant(**named, grant_id=NIL, lifetime_s=9),
        commands.FreezeGrant(**named, grant_id=NIL, reason="r"),
        commands.RevokeCredits(**named, grant_id=NIL, cause="refund"),
        commands.CommitHold(**named, hold_id=NIL, amount_ucr=1),
        commands.ReleaseHold(**named, hold_id=NIL, reason="r"),
        commands.ReverseDebit(**named, reversal_id=uuid4(), debit_id=NIL, reason="r"),
        commands.TransferCredits(**named, to_account_id=NIL, transfer_id=uuid4(), amount_ucr=1, reason="r"),
        commands.HoldCredits(account_id=NIL, hold_id=uuid4(), amount_ucr=1, lease_s=9),
    ]
    codes = [refused(ledger, command).code for command in asked]
    unknown = ["grant", "grant", "grant", "hold", "hold", "debit", "account", "account"]
    assert codes == [f"{name}-unknown" for name in unknown]


def test_linked_commands_count_in_the_size() -> None:
    alone, together = asking(), asking(linked=(giving(),) * 3)
    assert prepare(together, SECRET).size > 3 * prepare(alone, SECRET).size
