"""What every rail does, shown on the sandbox: its twin in memory and the one on PostgreSQL alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from payments.errors import ChargeUnknown, NotificationRefused, RailUnavailable, RefundRefused
from payments.limits import CHANGES_MAX
from payments.memory import MemoryStore
from payments.rail import Cursor, Hint, OpenCharge, Rail
from payments.sandbox import signing
from payments.sandbox.books import SandboxStore
from payments.sandbox.courier import DirectCourier, FaultyCourier
from payments.sandbox.desk import SandboxDesk
from payments.sandbox.rail import SandboxRail
from payments.sandbox.store import PostgresStore
from tests.support.ledger import ManualClock
from tests.support.payments import PUBLIC_URL, SECRET, START, CountingIds


class Source:
    """A rail, and the far side of it."""

    def __init__(self, store: SandboxStore) -> None:
        self.clock = ManualClock()
        self.sandbox = SandboxRail(store, self.clock, secret=SECRET, public_url=PUBLIC_URL)
        self.rail: Rail = self.sandbox
        self.courier = FaultyCourier(DirectCourier(lambda _rail, headers, raw: self.rail.hint(headers, raw)))
        self.desk = SandboxDesk(store, self.clock, CountingIds(), secret=SECRET, courier=self.courier)

    def charge(self, key: str = "topup:1:sandbox:1") -> str:
        """Open a charge of 10.00; its ref."""
        return self.rail.open(opening(key)).ref


def opening(key: str) -> OpenCharge:
    """A charge of 10.00 for a quarter of an hour."""
    return OpenCharge(
        key=key, topup_id=UUID(int=1), asset="USD", amount_minor=1_000, expires_at=START + timedelta(minutes=15)
    )


@pytest.fixture(params=["memory", "postgres"])
def source(request: pytest.FixtureRequest) -> Source:
    """A fresh provider."""
    if request.param == "memory":
        return Source(MemoryStore())
    return Source(PostgresStore(request.getfixturevalue("pool")))


def test_opening_says_what_to_pay_and_until_when(source: Source) -> None:
    told = source.rail.open(opening("k"))
    assert (told.asset, told.amount_minor, told.expires_at) == ("USD", 1_000, START + timedelta(minutes=15))
    assert told.url == f"{PUBLIC_URL}/sandbox/{told.ref}"


def test_the_same_key_opens_the_same_charge_also_at_the_same_time(source: Source) -> None:
    told = []
    with ThreadPoolExecutor(4) as threads:
        for turn in range(60):
            told = list(threads.map(source.rail.open, [opening(f"k{turn}")] * 8))
            assert len(set(told)) == 1
    assert source.charge("another") != told[0].ref


def test_a_charge_that_nobody_paid_has_no_movements(source: Source) -> None:
    assert source.rail.lookup(source.charge()) == []
    assert source.rail.lookup("unknown") == []


def test_a_payment_is_told_by_charge_and_by_its_own_id(source: Source) -> None:
    ref = source.charge()
    paid = source.desk.pay(ref, 400)
    [seen] = source.rail.lookup(ref)
    assert source.rail.lookup(paid.external_id) == [seen]
    assert (seen.rail, seen.ref, seen.asset, seen.amount_minor) == (source.rail.name, ref, "USD", 400)
    assert (seen.direction, seen.state, seen.fee_minor, seen.question) == ("in", "final", 0, ref)
    assert seen.first_seen == seen.at == START


def test_several_payments_are_told_oldest_first(source: Source) -> None:
    ref = source.charge()
    first, second = source.desk.pay_twice(ref)
    assert [seen.external_id for seen in source.rail.lookup(ref)] == [first.external_id, second.external_id]


def test_a_late_payment_keeps_the_rails_own_time(source: Source) -> None:
    ref = source.charge()
    source.desk.pay_late(ref)
    assert source.rail.lookup(ref)[0].first_seen > source.desk.charge(ref).expires_at


def test_first_sight_stays_when_the_state_moves_on(source: Source) -> None:
    payment = source.desk.pay(source.charge(), state="seen")
    source.clock.pass_s(60)
    source.desk.progress(payment.external_id, "confirming", 1)
    [seen] = source.rail.lookup(payment.external_id)
    assert (seen.state, seen.confirmations, seen.first_seen) == ("confirming", 1, START)
    assert seen.at == START + timedelta(seconds=60)


def test_a_failure_is_told_with_its_reason_and_is_no_money(source: Source) -> None:
    ref = source.charge()
    source.desk.fail(ref, "declined")
    [seen] = source.rail.lookup(ref)
    assert (seen.state, seen.reason) == ("failed", "declined")
    assert (source.desk.charge(ref).failed, source.desk.charge(ref).received_minor) == (True, 0)


def test_changes_tells_every_movement_in_and_out_and_goes_on_where_it_stopped(source: Source) -> None:
    ref = source.charge()
    payment = source.desk.pay(ref)
    stray = source.desk.pay_stray("USD", 5)
    told, cursor = source.rail.changes(Cursor())
    assert [seen.external_id for seen in told] == [payment.external_id, stray.external_id]
    assert told[1].question == stray.external_id
    assert source.rail.changes(cursor) == ([], cursor)
    source.rail.refund(UUID(int=4), payment.external_id, 100, "")
    source.desk.progress(payment.external_id, "reversed")
    told, _ = source.rail.changes(cursor)
    assert [(seen.direction, seen.state) for seen in told] == [("out", "final"), ("in", "reversed")]


def test_changes_are_bounded_and_none_is_passed_over(source: Source) -> None:
    for _ in range(CHANGES_MAX + 3):
        source.desk.pay_stray("USD", 1)
    first, cursor = source.rail.changes(Cursor())
    rest, _ = source.rail.changes(cursor)
    assert (len(first), len(rest)) == (CHANGES_MAX, 3)
    assert len({seen.external_id for seen in first + rest}) == CHANGES_MAX + 3


def test_invariant_30_a_reader_of_changes_skips_nothing_while_many_pay(source: Source) -> None:
    ref = source.charge()
    told: list[str] = []
    cursor = Cursor()
    with ThreadPoolExecutor(4) as threads:
        paying = [threads.submit(source.desk.pay, ref) for _ in range(40)]
        while not all(one.done() for one in paying):
            seen, cursor = source.rail.changes(cursor)
            told += [one.external_id for one in seen]
        seen, cursor = source.rail.changes(cursor)
        told += [one.external_id for one in seen]
    assert sorted(told) == sorted(one.result().external_id for one in paying)


def test_every_move_is_notified_with_a_hint_of_what_to_look_up(source: Source) -> None:
    ref = source.charge()
    source.desk.pay(ref)
    source.desk.pay_stray("USD", 5)
    hints = [source.rail.hint(one.headers, one.raw) for one in source.courier.kept]
    assert [hint.kind for hint in hints] == ["payment.final", "payment.final"]
    assert hints[0].ref == ref and source.rail.lookup(hints[1].ref)[0].amount_minor == 5
    assert len({hint.external_id for hint in hints}) == 2


def test_a_notification_that_is_repeated_keeps_its_id(source: Source) -> None:
    source.desk.pay(source.charge())
    [sent] = source.courier.kept
    assert source.rail.hint(sent.headers, sent.raw) == source.rail.hint(sent.headers, sent.raw)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "unsigned"),
        ("", "unsigned"),
        ("t=1,v1=", "forged"),
        ("v1=00", "unsigned"),
        ("t=x,v1=00", "unsigned"),
        ("t=1,t=2,v1=00", "unsigned"),
        ("t=99999999999999999999,v1=00", "unsigned"),
        ("t=1767225600,v1=00", "forged"),
        ("t=1767225600,v1=é", "unsigned"),
    ],
)
def test_a_notification_without_a_good_signature_is_refused(source: Source, header: str | None, reason: str) -> None:
    headers = {} if header is None else {signing.HEADER: header}
    with pytest.raises(NotificationRefused) as refusal:
        source.rail.hint(headers, b"{}")
    assert refusal.value.facts == {"reason": reason}


def test_a_notification_by_another_secret_is_forged_and_an_old_one_stale(source: Source) -> None:
    hint = Hint(external_id="e", ref="r")
    foreign = signing.write(hint, b"another", START)
    with pytest.raises(NotificationRefused, match="forged"):
        source.rail.hint(foreign.headers, foreign.raw)
    ours = signing.write(hint, SECRET, START)
    source.clock.pass_s(300)
    assert source.rail.hint(ours.headers, ours.raw) == hint
    source.clock.pass_s(1)
    with pytest.raises(NotificationRefused, match="stale"):
        source.rail.hint(ours.headers, ours.raw)


def test_one_good_signature_among_several_is_enough_while_keys_rotate(source: Source) -> None:
    ours = signing.write(Hint(external_id="e", ref="r"), SECRET, START)
    sent, good = ours.headers[signing.HEADER].split(",")
    assert source.rail.hint({signing.HEADER: f"{sent},v1=00ff,{good}"}, ours.raw).ref == "r"


def test_a_signed_body_that_cannot_be_read_is_refused(source: Source) -> None:
    sent = int(START.timestamp())
    for raw in (b"", b"[]", b'{"id":1}', b"\xff\xfe"):
        headers = {signing.HEADER: f"t={sent},v1={signing._mac(SECRET, sent, raw)}"}
        with pytest.raises(NotificationRefused, match="unreadable"):
            source.rail.hint(headers, raw)


def test_invariant_46_refunds_never_exceed_what_was_captured(source: Source) -> None:
    payment = source.desk.pay(source.charge())
    first = source.rail.refund(UUID(int=1), payment.external_id, 600, "")
    assert (first.state, first.amount_minor) == ("succeeded", 600)
    assert source.rail.refund(UUID(int=1), payment.external_id, 600, "") == first
    with pytest.raises(RefundRefused, match="above-captured"):
        source.rail.refund(UUID(int=2), payment.external_id, 401, "")
    with pytest.raises(RefundRefused, match="refund-id-reused"):
        source.rail.refund(UUID(int=1), payment.external_id, 400, "")
    source.rail.refund(UUID(int=2), payment.external_id, 400, "")


def test_what_never_arrived_is_not_refunded(source: Source) -> None:
    failed = source.desk.fail(source.charge())
    for receipt, amount in [("unknown", 1), (failed.external_id, 1), (source.desk.pay(source.charge()).external_id, 0)]:
        with pytest.raises(RefundRefused):
            source.rail.refund(UUID(int=1), receipt, amount, "")


def test_the_desk_knows_only_its_own_charges(source: Source) -> None:
    for act in (source.desk.charge, source.desk.pay, source.desk.fail, source.desk.pay_late):
        with pytest.raises(ChargeUnknown):
            act("sbc_unknown")


def test_a_database_that_is_away_is_a_source_that_cannot_be_asked(request: pytest.FixtureRequest) -> None:
    pool = request.getfixturevalue("pool")
    source = Source(PostgresStore(pool))
    pool.close()
    with pytest.raises(RailUnavailable):
        source.rail.lookup("r")
