"""Top-ups whole, on PostgreSQL: the real ledger, the sandbox's own tables, inbox, sweep and follower."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.codec import NewEvent
from ledger.drivers import Driver, FollowerThread
from ledger.ports import Companion, Request
from ledger.store.postgres import PostgresLedger
from payments import statements
from payments.domain.policy import Policy
from payments.domain.products import PackProduct
from payments.errors import TooManyOpenTopUps, TopUpUnknown
from payments.oversight import Oversight
from payments.views import TopUpView
from payments.worker import SettlerThread
from tests.support.payments import CREDIT, terms
from tests.support.payments_live import LiveWorld
from tests.support.servers import Database

ROOT = Path(__file__).parents[3]
SOON_S = 60.0


@pytest.fixture
def world(pool: ConnectionPool, postgres_ledger: PostgresLedger) -> LiveWorld:
    """Payments as the program wires them."""
    return LiveWorld(pool, postgres_ledger)


def ref_of(topup: TopUpView) -> str:
    """What the rail calls its charge."""
    return topup.charges[-1].instruction.ref


def test_a_topup_goes_from_quote_to_credits(world: LiveWorld) -> None:
    owner = world.account()
    topup = world.opens(owner, product=PackProduct("studio"))
    assert (topup.state, topup.quote.gross_minor) == ("awaiting", 5_000)
    world.desk.pay(ref_of(topup))
    world.courier.deliver()
    assert world.settler.work() == 1
    topup = world.service.get(owner[0], topup.topup_id)
    assert (topup.state, topup.credited_ucr, world.credits(owner[1])) == ("credited", 5_250 * CREDIT, 5_250)
    assert world.rows("SELECT outcome, detail, source FROM rail_inbox") == [("appended", "exact", "notification")]


def test_the_tables_follow_the_log(world: LiveWorld) -> None:
    owner = world.account()
    topup = world.opens(owner)
    world.desk.pay(ref_of(topup))
    world.desk.pay_stray("USD", 700)
    world.settle()
    assert world.rows("SELECT state, credited_ucr, gross_minor, charges FROM topups") == [
        ("credited", 1_000 * CREDIT, 1_000, 1)
    ]
    assert world.rows("SELECT state, watched, organisation_id FROM charges") == [("final", False, owner[0])]
    assert world.rows("SELECT policy_case, suspense_micro, organisation_id, reason FROM receipts ORDER BY 1") == [
        ("exact", 0, owner[0], ""),
        ("no-top-up", 7_000_000, None, "no-top-up"),
    ]
    assert [view.topup_id for view in world.service.list(owner[0])] == [topup.topup_id]


def test_invariant_10_tables_that_are_dropped_and_followed_again_are_the_same(world: LiveWorld) -> None:
    owner = world.account()
    for number, percent in enumerate((40, 100, 150)):
        topup = world.opens(owner, f"k{number}")
        world.desk.pay(ref_of(topup), 10 * percent)
    world.desk.pay_stray("USD", 700)
    world.settle()
    asked = (
        "SELECT * FROM topups ORDER BY 1",
        "SELECT * FROM receipts ORDER BY 1",
        "SELECT rail, ref, topup_id, state, watched, expires_at FROM charges ORDER BY 1, 2",
    )
    before = [world.rows(sql) for sql in asked]
    for table in ("topups", "receipts", "charges"):
        world.execute(f"DELETE FROM {table}")
    world.execute("UPDATE followers SET position = 0 WHERE name = 'payments'")
    world.follow()
    assert [world.rows(sql) for sql in asked] == before


def test_lists_are_in_pages_newest_first_and_of_one_organisation(world: LiveWorld) -> None:
    owner, stranger = world.account(), world.account()
    ids = [world.opens(owner, f"k{number}").topup_id for number in range(4)]
    foreign = world.opens(stranger)
    world.follow()
    first = world.service.list(owner[0], limit=3)
    rest = world.service.list(owner[0], before=first[-1].position, limit=3)
    assert [view.topup_id for view in first + rest] == ids[::-1]
    with pytest.raises(TopUpUnknown):
        world.service.get(owner[0], foreign.topup_id)


def test_invariant_25_the_same_notification_many_times_at_once_is_one_credit(world: LiveWorld) -> None:
    owner = world.account()
    topup = world.opens(owner)
    world.desk.pay(ref_of(topup))
    world.follow()
    [sent] = world.courier.kept

    def notify_and_work(number: int) -> bool:
        new = world.service.receive("sandbox", sent.headers, sent.raw)
        if number % 2:
            world.settler.sweep()
        world.settler.work()
        return new

    with ThreadPoolExecutor(6) as threads:
        new = list(threads.map(notify_and_work, range(18)))
    assert sum(new) == 1
    world.settle()
    assert world.credits(owner[1]) == 1_000
    kinds = [row[0] for row in world.rows("SELECT outcome FROM rail_inbox ORDER BY 1")]
    assert kinds.count("appended") == 1 and set(kinds) == {"appended", "nothing-to-do"}


def test_a_lost_notification_costs_seconds(world: LiveWorld) -> None:
    owner = world.account()
    followers = FollowerThread(Driver(world.pool), [world.follower])
    settling = SettlerThread(world.settler, world.clock, sweep_every_s=0.5)
    followers.start()
    settling.start()
    try:
        topup = world.opens(owner)
        world.desk.pay(ref_of(topup))
        world.courier.drop()
        deadline = time.monotonic() + SOON_S
        while not world.credits(owner[1]) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        settling.stop()
        followers.stop()
    assert world.credits(owner[1]) == 1_000
    assert ("appended", "exact", "sweep") in world.rows("SELECT outcome, detail, source FROM rail_inbox")


@pytest.mark.parametrize(
    ("came", "late", "state", "flags", "worth"),
    [
        (1_000, True, "credited", ("late",), 1_000),
        (995, False, "credited", (), 1_000),
        (400, False, "awaiting", ("partial",), 0),
        (1_500, False, "credited", ("over",), 1_500),
    ],
)
def test_late_short_partial_and_over(
    world: LiveWorld, came: int, late: bool, state: str, flags: tuple[str, ...], worth: int
) -> None:
    owner = world.account()
    topup = world.opens(owner)
    pay = world.desk.pay_late if late else world.desk.pay
    pay(ref_of(topup), came)
    world.settle()
    topup = world.service.get(owner[0], topup.topup_id)
    assert (topup.state, topup.flags, world.credits(owner[1])) == (state, flags, worth)


def test_several_payments_are_all_credited(world: LiveWorld) -> None:
    owner = world.account()
    topup = world.opens(owner)
    world.desk.pay_twice(ref_of(topup))
    world.settle()
    assert world.service.get(owner[0], topup.topup_id).flags == ("several",)
    assert world.credits(owner[1]) == 2_000


def test_a_partial_payment_is_credited_when_its_window_closes(
    pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    world = LiveWorld(pool, postgres_ledger, terms(quote_lifetime_s=6))
    owner = world.account()
    topup = world.opens(owner)
    world.desk.pay(ref_of(topup), 400)
    world.settle()
    assert world.credits(owner[1]) == 0
    assert world.rows("SELECT unapplied_micro, reason FROM receipts") == [(4_000_000, "partial")]
    deadline = time.monotonic() + SOON_S
    while not world.credits(owner[1]) and time.monotonic() < deadline:
        time.sleep(0.2)
        world.settle()
    assert (world.credits(owner[1]), world.service.get(owner[0], topup.topup_id).state) == (400, "credited")
    assert world.rows("SELECT unapplied_micro FROM receipts") == [(0,)]


def test_a_charge_expires_and_stays_watched(pool: ConnectionPool, postgres_ledger: PostgresLedger) -> None:
    world = LiveWorld(pool, postgres_ledger, terms(quote_lifetime_s=1))
    owner = world.account()
    topup = world.opens(owner)
    world.follow()
    time.sleep(1.1)
    world.settle()
    assert world.service.get(owner[0], topup.topup_id).state == "expired"
    assert world.rows("SELECT state, watched FROM charges") == [("expired", True)]
    world.desk.pay(ref_of(topup))
    world.courier.drop()
    world.settle()
    assert world.service.get(owner[0], topup.topup_id).flags == ("late",)
    assert world.credits(owner[1]) == 1_000


def test_a_refused_grant_is_booked_to_unapplied_with_the_reason(world: LiveWorld) -> None:
    organisation_id, nobody = world.ids.new(), world.ids.new()
    topup = world.opens((organisation_id, nobody))
    world.desk.pay(ref_of(topup))
    world.settle()
    assert world.rows("SELECT unapplied_micro, reason, topup_id FROM receipts") == [
        (10_000_000, "account-unknown", topup.topup_id)
    ]
    assert ("needs-human", "account-unknown") in world.rows("SELECT outcome, detail FROM rail_inbox")
    oversight = Oversight(world.inner)
    assert [(money.unapplied_micro, money.reason) for money in oversight.waiting_money()] == [
        (10_000_000, "account-unknown")
    ]
    state = oversight.inbox()
    assert (state.waiting, state.needs_human, state.oldest_s) == (0, 1, 0.0)


def test_an_excess_parked_by_setting_is_listed(pool: ConnectionPool, postgres_ledger: PostgresLedger) -> None:
    world = LiveWorld(pool, postgres_ledger, terms(Policy(excess="unapplied")))
    owner = world.account()
    world.desk.pay(ref_of(world.opens(owner)), 1_050)
    world.settle()
    assert world.credits(owner[1]) == 1_000
    assert world.rows("SELECT policy_case, unapplied_micro, reason FROM receipts") == [("over", 500_000, "excess")]


def test_an_account_never_holds_more_than_five_open_quotes_however_fast_they_are_asked_for(world: LiveWorld) -> None:
    owner = world.account()

    def opens(number: int) -> int:
        try:
            world.opens(owner, f"k{number}")
        except TooManyOpenTopUps:
            return 0
        return 1

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(opens, range(15))) == 5
    paid = world.service.get(owner[0], _some_topup(world))
    world.desk.pay(ref_of(paid))
    world.settle()
    assert opens(99) == 1


def test_who_asks_for_a_quote_waits_for_whoever_is_taking_the_last_one(world: LiveWorld) -> None:
    owner = world.account()
    for number in range(4):
        world.opens(owner, f"k{number}")
    last = {"account_id": owner[1], "key_hash": b"x", "topup_id": world.ids.new(), "held_until": "infinity"}
    with ThreadPoolExecutor(1) as threads:
        with world.pool.connection() as connection:
            connection.execute(statements.LOCK_SLOTS.sql.encode(), last)
            connection.execute(statements.TAKE_SLOT.sql.encode(), last)
            asked = threads.submit(world.opens, owner, "k5")
            with pytest.raises(TimeoutError):
                asked.result(0.5)
        with pytest.raises(TooManyOpenTopUps):
            asked.result(SOON_S)


def _some_topup(world: LiveWorld) -> UUID:
    world.follow()
    return world.rows("SELECT topup_id FROM topups ORDER BY position LIMIT 1")[0][0]


def test_invariant_24_the_same_key_at_once_opens_one_topup_with_one_charge(world: LiveWorld) -> None:
    owner = world.account()
    with ThreadPoolExecutor(6) as threads:
        views = list(threads.map(lambda _: world.opens(owner, "same"), range(12)))
    assert len({view.topup_id for view in views}) == 1
    assert len({ref_of(view) for view in views}) == 1
    assert sum(not view.replayed for view in views) == 1
    assert world.rows("SELECT count(*) FROM sandbox_charges") == [(1,)]


@pytest.mark.parametrize(
    "statement", [statements.CLAIM_NOTIFICATIONS, statements.MARK_HANDLED], ids=["before-the-claim", "before-the-mark"]
)
def test_a_settler_killed_at_work_neither_loses_nor_doubles_a_payment(
    world: LiveWorld, database: Database, statement: statements.Statement
) -> None:
    owner = world.account()
    topup = world.opens(owner)
    world.desk.pay(ref_of(topup))
    world.courier.deliver()
    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.payments_live",
            database.serving_url,
            database.writer_url,
            statement.name,
        ],
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    appended = world.credits(owner[1])
    assert appended == (1_000 if statement is statements.MARK_HANDLED else 0)
    assert world.rows("SELECT handled_at FROM rail_inbox") == [(None,)]
    world.execute("UPDATE rail_inbox SET claimed_until = clock_timestamp()")
    world.settler.work()
    assert world.credits(owner[1]) == 1_000
    [(outcome,)] = world.rows("SELECT outcome FROM rail_inbox")
    assert outcome == ("nothing-to-do" if appended else "appended")


def test_one_connection_is_enough_for_many_callers(database: Database, postgres_ledger: PostgresLedger) -> None:
    with ConnectionPool(database.serving_url, min_size=1, max_size=1, timeout=30) as single:
        postgres_ledger._pool = single
        world = LiveWorld(single, postgres_ledger)
        owners = [world.account() for _ in range(6)]
        with ThreadPoolExecutor(6) as threads:
            topups = list(threads.map(world.opens, owners))
            list(threads.map(world.desk.pay, map(ref_of, topups)))
            world.courier.deliver()
            list(threads.map(lambda _: world.settler.work(), range(6)))
        assert [world.credits(owner[1]) for owner in owners] == [1_000] * 6


def test_a_claimed_notification_is_nobody_elses_until_its_lease_ends(world: LiveWorld) -> None:
    topup = world.opens(world.account())
    world.desk.pay(ref_of(topup))
    world.courier.deliver()
    world.execute("UPDATE rail_inbox SET claimed_until = clock_timestamp() + interval '1 minute'")
    assert world.settler.work() == 0


def test_a_charge_is_asked_about_again_after_a_tenth_of_its_age(world: LiveWorld) -> None:
    world.opens(world.account())
    world.follow()
    world.execute("UPDATE charges SET opened_at = clock_timestamp() - interval '1000 seconds'")
    world.settler.sweep()
    [(pause_s,)] = world.rows("SELECT extract(EPOCH FROM next_look_at - clock_timestamp())::float8 FROM charges")
    assert 50 < pause_s < 150


def test_an_event_that_cannot_be_read_parks_the_follower_and_is_not_skipped(world: LiveWorld) -> None:
    stream = world.ids.new()
    unknown = NewEvent("payments.receipt-teleported.v9", b'{"type":"payments.receipt-teleported.v9"}')
    world.ledger.submit(
        Request(key="x", operation="test", scope_id=stream, on_accept=(Companion(stream, 0, (unknown,)),))
    )
    world.follow()
    [(reason,)] = world.rows("SELECT parked_reason FROM followers WHERE name = 'payments'")
    assert "payments.receipt-teleported.v9" in reason
