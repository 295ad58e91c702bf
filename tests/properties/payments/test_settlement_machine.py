"""Money in as a state machine: payments of every kind, notifications lost, repeated, turned round, crashes anywhere.

After every step: no receipt is final twice in a generation, none has two grants, every receipt's legs add up, and what
is on the account are the credits whose money stayed, less what was spent. At the end, when everything was swept and
worked: what the source has and what the log has are the same, one to one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.domain.commands import DebitCredits
from payments.domain.products import AmountProduct, PackProduct, Product
from payments.errors import TooManyOpenTopUps
from payments.inbox import work_inbox
from payments.opening import OpenTopUp
from payments.rail import ObservationState
from payments.sweep import sweep_changes, sweep_charges, sweep_unopened
from payments.views import view_of
from simulation.payments import ends
from tests.support.ledger import done
from tests.support.payments import Crash, World, topups_of

products = st.one_of(
    st.sampled_from(["starter", "studio"]).map(PackProduct), st.integers(500, 2_000).map(AmountProduct)
)
TOPUPS_MAX = 4
STRAYS_MAX = 2
percents = st.sampled_from([1, 30, 50, 70, 99, 100, 101, 150])
manners = st.sampled_from(["plain", "plain", "plain", "plain", "late", "seen", "unknown-asset"])
later: dict[ObservationState, tuple[ObservationState, ...]] = {
    "seen": ("confirming", "final", "reversed"),
    "confirming": ("final", "reversed"),
    "final": ("reversed",),
    "reversed": ("final",),
}


class Settlement(RuleBasedStateMachine):
    """One account, any number of top-ups, one source."""

    refs = Bundle("refs")
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(tax_ppm=77_700)
        self.organisation_id, self.account_id = self.world.account()
        self.keys = 0
        self.strayed = 0
        self.spent_ucr = 0

    @contextlib.contextmanager
    def dying(self, crash_at: int | None, *, after: bool) -> Generator[None]:
        """The process dies so many effects from now, before or after the last took place."""
        inner = self.world.inner
        inner.effects, inner.crash_at, inner.crash_after = 0, crash_at, after
        try:
            yield
        except Crash:
            pass
        finally:
            inner.crash_at = None

    crashes = st.one_of(st.none(), st.integers(0, 12))

    @precondition(lambda self: self.keys < TOPUPS_MAX)
    @rule(target=refs, product=products, crash_at=crashes, after=st.booleans())
    def opens(self, product: Product, crash_at: int | None, *, after: bool) -> object:
        self.keys += 1
        asked = OpenTopUp(
            organisation_id=self.organisation_id,
            account_id=self.account_id,
            key=f"key-{self.keys}",
            product=product,
            rail="sandbox",
        )
        with self.dying(crash_at, after=after), contextlib.suppress(TooManyOpenTopUps):
            self.world.service.open(asked)
        try:
            return self.world.service.open(asked).charges[-1].instruction.ref
        except TooManyOpenTopUps:
            return multiple()

    @rule(target=payments, ref=refs, percent=percents, manner=manners)
    def pays(self, ref: str, percent: int, manner: str) -> object:
        charge = self.world.desk.charge(ref)
        amount_minor = max(1, charge.amount_minor * percent // 100)
        payment = self.world.desk.pay(
            ref,
            amount_minor,
            when=charge.expires_at.replace(year=2027) if manner == "late" else None,
            asset="SHELLS" if manner == "unknown-asset" else None,
            state="seen" if manner == "seen" else "final",
        )
        return payment.external_id

    @rule(target=payments, ref=refs, first=st.sampled_from([0, 0, 20, 55, 80]))
    def pays_the_rest(self, ref: str, first: int) -> object:
        """What the page asks for, once everything before is settled; perhaps in two parts."""
        if first:
            self.world.desk.pay(ref, self.world.desk.charge(ref).amount_minor * first // 100)
        self.settles()
        asked = next(topup for topup in topups_of(self.world.ledger) if topup.charges[0].ref == ref)
        missing_minor = view_of(asked).missing_minor
        if missing_minor == 0:
            return multiple()
        payment = self.world.desk.pay(ref, missing_minor)
        self.settles()
        return payment.external_id

    @rule()
    def settles(self) -> None:
        """An ordinary moment: everything is notified and worked."""
        self.world.courier.deliver()
        self.world.driver.drive(work_inbox(self.world.terms))

    @rule(ref=refs)
    def fails(self, ref: str) -> None:
        self.world.desk.fail(ref)

    @precondition(lambda self: self.strayed < STRAYS_MAX)
    @rule(target=payments, amount_minor=st.integers(1, 5_000))
    def strays(self, amount_minor: int) -> object:
        self.strayed += 1
        return self.world.desk.pay_stray("USD", amount_minor).external_id

    @rule(target=payments, external_id=consumes(payments), pick=st.integers(0, 2))
    def goes_on(self, external_id: str, pick: int) -> str:
        [payment] = self.world.store.movements(external_id)
        choices = later[payment.state]
        self.world.desk.progress(external_id, choices[pick % len(choices)], payment.confirmations + 1)
        return external_id

    @rule(times=st.integers(1, 3), backwards=st.booleans())
    def notifies(self, times: int, *, backwards: bool) -> None:
        self.world.courier.deliver(times=times, backwards=backwards)

    @rule()
    def loses_notifications(self) -> None:
        self.world.courier.drop()

    @rule(crash_at=crashes, after=st.booleans())
    def works(self, crash_at: int | None, *, after: bool) -> None:
        with self.dying(crash_at, after=after):
            self.world.driver.drive(work_inbox(self.world.terms))

    @rule(crash_at=crashes, after=st.booleans())
    def sweeps(self, crash_at: int | None, *, after: bool) -> None:
        with self.dying(crash_at, after=after):
            self.world.driver.drive(sweep_changes("sandbox"))
            self.world.driver.drive(sweep_charges())
            self.world.driver.drive(sweep_unopened())

    @rule(share=st.sampled_from([3, 2, 1]))
    def spends(self, share: int) -> None:
        """Credits are used while money comes and goes."""
        balance = self.world.ledger.balance(self.account_id)
        assert balance is not None
        if (amount_ucr := balance.available_ucr // share) > 0:
            command = DebitCredits(account_id=self.account_id, debit_id=uuid4(), amount_ucr=amount_ucr, reason="test")
            done(self.world.ledger, command)
            self.spent_ucr += amount_ucr

    @rule(seconds=st.sampled_from([1, 30, 120, 1_000]))
    def waits(self, seconds: int) -> None:
        self.world.clock.pass_s(seconds)

    @invariant()
    def a_receipt_is_final_once_a_generation_and_its_legs_add_up(self) -> None:
        ends.receipts_are_final_once(self.world)

    @invariant()
    def every_grant_has_one_receipt_and_the_account_has_its_grants(self) -> None:
        ends.grants_have_receipts(self.world, self.account_id)

    @invariant()
    def the_customer_has_what_was_paid_and_stayed_paid_less_what_was_spent(self) -> None:
        ends.the_customer_has_what_was_paid(self.world, self.account_id, self.spent_ucr)

    @invariant()
    def no_money_is_the_cost_of_two_grants(self) -> None:
        ends.no_money_costs_twice(self.world, self.account_id)

    def teardown(self) -> None:
        """Let everything settle, and compare the source with the log."""
        ends.settled(self.world)


def test_invariant_25_44_notified_in_any_order_with_crashes_anywhere_a_payment_is_one_credit() -> None:
    run_state_machine_as_test(Settlement, settings=settings(max_examples=200, stateful_step_count=40))
