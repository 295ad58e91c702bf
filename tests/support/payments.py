"""A small world for payments: clock, ids, prices, the rail's twin, and rows of its tables in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from ledger.domain import commands
from ledger.domain.codec import RecordedEvent
from ledger.domain.verdicts import Answer
from ledger.limits import SUBMIT_TIMEOUT_S
from ledger.ports import Ledger, Request
from ledger.sansio import Commit, Core, Run, RunMany, Sleep, Wake
from ledger.store.memory import MemoryLedger
from payments.domain import events
from payments.domain.policy import Policy, Terms, Valuer, fixed_value
from payments.domain.products import AmountProduct, PackProduct, PriceBook, PriceList
from payments.domain.settlement import Outcome
from payments.domain.topup import TopUp, fold
from payments.drivers import PaymentDriver
from payments.inbox import work_inbox
from payments.memory import MemoryStore
from payments.opening import OpenTopUp
from payments.rail import Cursor, Instruction, Observation, OpenCharge
from payments.sandbox.courier import DirectCourier, FaultyCourier
from payments.sandbox.desk import SandboxDesk
from payments.sandbox.rail import SandboxRail
from payments.service import TopUpsService
from payments.sweep import sweep_changes, sweep_charges
from payments.views import TopUpView
from tests.support.ledger import ManualClock, done

T = TypeVar("T")
R = TypeVar("R")
CREDIT = 1_000_000
TEN = AmountProduct(1_000)
START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"a secret of the sandbox in tests"
PUBLIC_URL = "https://tally.example"


class CountingIds:
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self.last = 0

    def new(self) -> UUID:
        """The next one."""
        self.last += 1
        return UUID(int=0x0190_0000_0000_7000_8000_0000_0000_0000 + self.last)


def price_book(**changes: Any) -> PriceBook:
    """Prices in force since ever."""
    return PriceBook(**{"version": "2026-01", "valid_from": START - timedelta(days=1)} | changes)


def terms(policy: Policy | None = None, value: Valuer | None = None, **book: Any) -> Terms:
    """By what settlement decides in tests."""
    prices = PriceList([price_book(**book)])
    return Terms(prices=prices, value=value or fixed_value(prices.currency), policy=policy or Policy())


class Crash(BaseException):
    """The process ends here."""


class MemoryTables:
    """The named statements of payments over dictionaries, with rollback of what was not committed."""

    def __init__(self, clock: ManualClock) -> None:
        self.ledger: Ledger
        self._clock = clock
        self._rows: dict[str, dict[Any, dict[str, Any]]] = {"inbox": {}, "cursors": {}, "slots": {}}
        self._before: dict[str, dict[Any, dict[str, Any]]] | None = None

    @property
    def inbox(self) -> list[dict[str, Any]]:
        """Rows of the inbox, in the order they came."""
        return list(self._rows["inbox"].values())

    def run(self, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answer one statement by name."""
        if self._before is None:
            self._before = copy.deepcopy(self._rows)
        return getattr(self, "_" + name.removeprefix("payments-").replace("-", "_"))(params)

    def commit(self) -> None:
        """Keep what was done since the last commit."""
        self._before = None

    def rollback(self) -> None:
        """Undo it."""
        if self._before is not None:
            self._rows, self._before = self._before, None

    def _lock_slots(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return []

    def _find_slot(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = self._rows["slots"].get((params["account_id"], params["key_hash"]))
        return [found] if found else []

    def _count_slots(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        held = [r for r in self._rows["slots"].values() if r["held_until"] > now]
        return [{"taken": sum(r["account_id"] == params["account_id"] for r in held)}]

    def _take_slot(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._rows["slots"][params["account_id"], params["key_hash"]] = dict(params)
        return []

    def _store_notification(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        inbox = self._rows["inbox"]
        key = (params["rail"], params["external_id"])
        if key in inbox:
            return []
        never = datetime.min.replace(tzinfo=UTC)
        row = {"notification_id": len(inbox) + 1, "claimed_until": never, "attempts": 0, "outcome": None, "detail": ""}
        inbox[key] = dict(params) | row
        return [inbox[key]]

    _store_swept = _store_notification

    def _claim_notifications(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        due = [r for r in self._rows["inbox"].values() if r["outcome"] is None and r["claimed_until"] <= now]
        due.sort(key=lambda row: (row["claimed_until"], row["notification_id"]))
        for row in due[: params["limit"]]:
            row["claimed_until"] = now + timedelta(seconds=params["lease_s"])
            row["attempts"] += 1
        return [row | {"now": now} for row in due[: params["limit"]]]

    def _mark_handled(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._inbox_row(params)
        if row["outcome"] is None:
            row |= {"outcome": params["outcome"], "detail": params["detail"]}
        return []

    def _postpone(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._inbox_row(params)
        row["claimed_until"] = self._clock.now() + timedelta(seconds=params["pause_s"])
        row["detail"] = params["detail"]
        return []

    def _inbox_row(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return next(r for r in self._rows["inbox"].values() if r["notification_id"] == params["notification_id"])

    def _add_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._rows["cursors"].setdefault(params["rail"], {"token": ""})
        return []

    def _read_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(self._rows["cursors"][params["rail"]])]

    def _move_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._rows["cursors"][params["rail"]]
        if row["token"] == params["before"]:
            row["token"] = params["token"]
        return []

    def _due_charges(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        return [
            {"rail": c.rail, "ref": c.ref, "window_closed": c.instruction.expires_at <= now}
            for topup in topups_of(self.ledger)
            for c in topup.charges
            if not topup.satisfied or topup.pending
        ]

    def _unopened_topups(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        found = [t for t in topups_of(self.ledger) if not t.charges and t.quote.expires_at > now]
        return [{"topup_id": topup.topup_id} for topup in found]


class MemoryDriver:
    """Runs cores on one thread; ``crash_at`` effects later the process ends, before or after the effect took place."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self.crash_at: int | None = None
        self.crash_after = False
        self.effects = 0

    def drive(self, core: Core[T]) -> T:
        """See ``ledger.drivers.Driver``."""
        try:
            told = None
            while True:
                effect = core.send(told)
                told = self.counted(lambda effect=effect: self._answer(effect))
        except StopIteration as end:
            return end.value
        finally:
            self._tables.rollback()

    def counted(self, effect: Callable[[], R]) -> R:
        """Let an effect take place, unless the process ends before it."""
        self.effects += 1
        doomed = self.crash_at is not None and self.effects > self.crash_at
        if doomed and not self.crash_after:
            raise Crash
        told = effect()
        if doomed:
            raise Crash
        return told

    def _answer(self, effect: Any) -> Any:
        match effect:
            case Run(statement, params):
                return self._tables.run(statement.name, params)
            case RunMany(statement, rows):
                for row in rows:
                    self._tables.run(statement.name, row)
            case Commit():
                self._tables.commit()
            case Wake() | Sleep():
                pass
            case _:
                raise AssertionError(effect)
        return None


class MortalLedger(MemoryLedger):
    """A ledger that outlives the process which asks it."""

    def __init__(self, clock: ManualClock, driver: MemoryDriver) -> None:
        super().__init__(clock)
        self._driver = driver

    def submit(self, request: Request, *, timeout_s: float = SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self._driver.counted(lambda: super(MortalLedger, self).submit(request, timeout_s=timeout_s))


class MortalRail(SandboxRail):
    """A source that outlives the process which asks it."""

    def __init__(self, store: MemoryStore, clock: ManualClock, driver: MemoryDriver) -> None:
        super().__init__(store, clock, secret=SECRET, public_url=PUBLIC_URL)
        self._driver = driver

    def open(self, cmd: OpenCharge) -> Instruction:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).open(cmd))

    def lookup(self, ref: str) -> list[Observation]:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).lookup(ref))

    def changes(self, cursor: Cursor) -> tuple[list[Observation], Cursor]:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).changes(cursor))


class World:
    """Payments whole, in memory: what a test turns its screws on."""

    def __init__(self, policy: Policy | None = None, value: Valuer | None = None, **book: Any) -> None:
        self.clock = ManualClock()
        self.ids = CountingIds()
        self.terms = terms(policy, value, **book)
        self.tables = MemoryTables(self.clock)
        self.inner = MemoryDriver(self.tables)
        self.ledger = self.tables.ledger = MortalLedger(self.clock, self.inner)
        self.store = MemoryStore()
        self.rail = MortalRail(self.store, self.clock, self.inner)
        self.driver = PaymentDriver(self.inner, self.ledger, {self.rail.name: self.rail})
        self.service = TopUpsService(self.driver, self.terms.prices, self.clock, self.ids)
        self.courier = FaultyCourier(DirectCourier(self.service.receive))
        self.desk = SandboxDesk(self.store, self.clock, self.ids, secret=SECRET, courier=self.courier)

    def account(self) -> tuple[UUID, UUID]:
        """A new organisation and its account."""
        organisation_id, account_id = self.ids.new(), self.ids.new()
        done(self.ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
        return organisation_id, account_id


class Story:
    """One account, one top-up of 10.00."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.world = World(policy)
        self.organisation_id, self.account_id = self.world.account()

    def opens(self, key: str = "k", product: AmountProduct | PackProduct = TEN, rail: str = "sandbox") -> TopUpView:
        """Ask for credits."""
        asked = OpenTopUp(
            organisation_id=self.organisation_id, account_id=self.account_id, key=key, product=product, rail=rail
        )
        return self.world.service.open(asked)

    def settles(self) -> list[Outcome]:
        """Deliver what was notified, and work the inbox to its end."""
        self.world.courier.deliver()
        self.world.driver.drive(work_inbox(self.world.terms))
        return [Outcome(row["outcome"], row["detail"]) for row in self.world.tables.inbox]

    def sweeps(self) -> list[Outcome]:
        """Lose what was notified; ask the source instead."""
        self.world.courier.drop()
        self.world.driver.drive(sweep_changes("sandbox"))
        self.world.driver.drive(sweep_charges())
        return self.settles()

    def now(self, topup: TopUpView) -> TopUpView:
        """The top-up as it is now."""
        return self.world.service.get(self.organisation_id, topup.topup_id)

    @property
    def posted(self) -> int:
        """Credits on the account."""
        balance = self.world.ledger.balance(self.account_id)
        assert balance is not None
        return balance.posted_ucr // CREDIT


def ref_of(topup: TopUpView) -> str:
    """What the rail calls its charge."""
    return topup.charges[-1].instruction.ref


def topups_of(ledger: Ledger) -> list[TopUp]:
    """Every top-up of the log, folded."""
    found: list[TopUp] = []
    for event in ledger.log(after=0, limit=100_000):
        if event.tag == "payments.topup-opened.v1":
            topup = fold(ledger.stream(event.stream_id))
            assert topup is not None
            found.append(topup)
    return found


def payment_events(ledger: Ledger) -> list[events.PaymentEvent]:
    """Every event of payments, in the order of the log."""
    recorded: list[RecordedEvent] = ledger.log(after=0, limit=100_000)
    return [events.payment_event(event.state) for event in recorded if event.tag.startswith(events.PREFIX)]


def money_of(ledger: Ledger) -> list[events.ReceiptFinal]:
    """Every receipt that became final, in the order of the log."""
    return [event for event in payment_events(ledger) if isinstance(event, events.ReceiptFinal)]
