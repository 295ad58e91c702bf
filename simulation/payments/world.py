"""Money in from one seed: payments of every kind, notifications lost, repeated, turned round, crashes at any effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import UUID

from ledger.domain.commands import DebitCredits
from ledger.domain.verdicts import Done
from ledger.ports import Request
from payments.domain.products import AmountProduct, PackProduct, Product
from payments.errors import TooManyOpenTopUps
from payments.inbox import work_inbox
from payments.opening import OpenTopUp
from payments.rail import ObservationState
from payments.sweep import sweep_changes, sweep_charges, sweep_unopened
from simulation.dice import Dice
from simulation.payments import ends
from simulation.payments.stage import World
from simulation.payments.tables import Crash

TOPUPS_MAX, STRAYS_MAX = 4, 2
EFFECTS_BEFORE_CRASH = 13
_LATER: dict[ObservationState, tuple[ObservationState, ...]] = {
    "seen": ("confirming", "final", "reversed"),
    "confirming": ("final", "reversed"),
    "final": ("reversed",),
    "reversed": ("final",),
}


class Simulation:
    """One account, any number of top-ups, one source. ``counts`` says what happened."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.world = World(tax_ppm=77_700)
        self.organisation_id, self.account_id = self.world.account()
        self.counts: Counter[str] = Counter()
        self._refs: list[str] = []
        self._payments: list[str] = []
        self._opened = self._strayed = self._spent_ucr = 0

    def run(self, steps: int) -> None:
        """Play so many steps, checking after each; then let everything settle."""
        for _ in range(steps):
            self._step()
            self._check()
        ends.settled(self.world)
        self._check()

    def _check(self) -> None:
        ends.receipts_are_final_once(self.world)
        ends.grants_have_receipts(self.world, self.account_id)
        ends.the_customer_has_what_was_paid(self.world, self.account_id, self._spent_ucr)
        ends.no_money_costs_twice(self.world, self.account_id)

    def _step(self) -> None:
        chances: dict[str, tuple[float, Callable[[], None]]] = {
            "opens": (1.0 if self._opened < TOPUPS_MAX else 0.0, self._open),
            "pays": (3.0 if self._refs else 0.0, self._pay),
            "strays": (0.3 if self._strayed < STRAYS_MAX else 0.0, self._stray),
            "fails": (0.2 if self._refs else 0.0, self._fail),
            "goes on": (1.5 if self._payments else 0.0, self._go_on),
            "notifies": (2.0, self._notify),
            "loses notifications": (0.5, self.world.courier.drop),
            "works": (2.0, self._work),
            "sweeps": (1.5, self._sweep),
            "spends": (1.0, self._spend),
            "waits": (0.7, lambda: self.world.clock.pass_s(self.dice.choose((1, 30, 120, 1_000)))),
        }
        name = self.dice.weighted({one: weight for one, (weight, _) in chances.items()})
        self.counts[name] += 1
        chances[name][1]()

    @contextmanager
    def _dying(self) -> Generator[None]:
        """Half the time the process dies a few effects from now, before or after the last took place."""
        inner = self.world.inner
        inner.effects = 0
        inner.crash_at = self.dice.below(EFFECTS_BEFORE_CRASH) if self.dice.happens(0.5) else None
        inner.crash_after = self.dice.happens(0.5)
        try:
            yield
        except Crash:
            self.counts["crashes"] += 1
        finally:
            inner.crash_at = None

    def _open(self) -> None:
        self._opened += 1
        product: Product = AmountProduct(self.dice.between(500, 2_000))
        if self.dice.happens(0.5):
            product = PackProduct(self.dice.choose(("starter", "studio")))
        asked = OpenTopUp(
            organisation_id=self.organisation_id,
            account_id=self.account_id,
            key=f"key-{self._opened}",
            product=product,
            rail="sandbox",
        )
        try:
            with self._dying():
                self.world.service.open(asked)
            self._refs.append(self.world.service.open(asked).charges[-1].instruction.ref)
        except TooManyOpenTopUps:
            self.counts["too many open"] += 1

    def _pay(self) -> None:
        ref, manner = self.dice.choose(self._refs), self.dice.below(10)
        charge = self.world.desk.charge(ref)
        percent = self.dice.choose((1, 30, 50, 70, 99, 100, 100, 101, 150))
        payment = self.world.desk.pay(
            ref,
            max(1, charge.amount_minor * percent // 100),
            when=charge.expires_at.replace(year=2027) if manner == 0 else None,
            asset="SHELLS" if manner == 1 else None,
            state="seen" if manner in {2, 3} else "final",
        )
        self._payments.append(payment.external_id)

    def _stray(self) -> None:
        self._strayed += 1
        self._payments.append(self.world.desk.pay_stray("USD", self.dice.between(1, 5_000)).external_id)

    def _fail(self) -> None:
        self.world.desk.fail(self.dice.choose(self._refs))

    def _go_on(self) -> None:
        external_id = self.dice.choose(self._payments)
        [payment] = self.world.store.movements(external_id)
        self.world.desk.progress(external_id, self.dice.choose(_LATER[payment.state]), payment.confirmations + 1)

    def _notify(self) -> None:
        self.world.courier.deliver(times=self.dice.between(1, 3), backwards=self.dice.happens(0.5))

    def _work(self) -> None:
        with self._dying():
            self.world.driver.drive(work_inbox(self.world.terms))

    def _sweep(self) -> None:
        with self._dying():
            self.world.driver.drive(sweep_changes("sandbox"))
            self.world.driver.drive(sweep_charges())
            self.world.driver.drive(sweep_unopened())

    def _spend(self) -> None:
        balance = self.world.ledger.balance(self.account_id)
        assert balance is not None
        amount_ucr = balance.available_ucr // self.dice.between(1, 3)
        if amount_ucr <= 0:
            return
        debit_id = UUID(int=self.dice.bits())
        command = DebitCredits(account_id=self.account_id, debit_id=debit_id, amount_ucr=amount_ucr, reason="used")
        answer = self.world.ledger.submit(Request(key=str(debit_id), operation="spend", command=command))
        assert isinstance(answer.verdict, Done)
        self._spent_ucr += amount_ucr
