"""The worked story, step by step through a real ledger: every entry is what the bookkeeper wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.codec import RecordedEvent
from ledger.store.memory import MemoryLedger
from projections.books.model import decimals
from tests.support.books import append, balances, book_all, buy, receipt_applied, receipt_final
from tests.support.ledger import ManualClock, done, open_account
from workers.generation.events import JobCostRecorded

STORY = Path(__file__).parents[2] / "data" / "books" / "story.json"
PRIORITIES = {"promo": 10, "referral": 10, "goodwill": 20}
Legs = dict[tuple[str, str], int]


class Story:
    """Plays steps on a ledger. Grants that one hold names share an account, the others have one each."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = json.loads(STORY.read_text())
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.accounts: dict[str, UUID] = {}
        self.holds: dict[str, tuple[UUID, UUID]] = {}
        self.waiting: dict[str, tuple[UUID, str]] = {}

    def play(self, step: dict[str, Any]) -> None:
        """One step."""
        later = timedelta(seconds=self.steps.index(step))  # what began on one day is over on another, not a tick before
        self.clock.at = datetime.fromisoformat(step["day"]).replace(tzinfo=UTC) + later
        getattr(self, "_" + step["step"])(step)

    def log(self) -> list[RecordedEvent]:
        """Everything that happened."""
        return self.ledger.log(after=0, limit=10_000)

    def _grant(self, step: dict[str, Any]) -> None:
        account_id = self._account(step["grant"])
        ucr, cost = micro(step["credits"]), micro(step["cost"])
        more: dict[str, Any] = {
            "kind": step["kind"],
            "priority": PRIORITIES.get(step["kind"], 100),
            "list_value_micro": ucr // 100,
            "lifetime_s": self._lifetime_s(step),
        }
        if "rail" in step:
            facts = {f"{name}_micro": micro(step[name]) for name in ("tax", "unapplied", "fx")}
            facts |= {"rail": step["rail"], "asset": step["asset"], "amount_minor": minor(step)}
            _, receipt_id = buy(self.ledger, account_id, amount_ucr=ucr, cost_micro=cost, receipt=facts, **more)
            if facts["unapplied_micro"]:
                self.waiting["unapplied"] = (receipt_id, step["rail"])
        else:
            self._granted_without_cash(step, account_id, more | {"amount_ucr": ucr, "cost_micro": cost})

    def _granted_without_cash(self, step: dict[str, Any], account_id: UUID, more: dict[str, Any]) -> None:
        grant_id = uuid4()
        command = commands.GrantCredits(account_id=account_id, grant_id=grant_id, **more)
        if "source" not in step:
            done(self.ledger, command)
            return
        source = "unapplied" if "Unapplied" in step["source"] else "suspense"
        receipt_id, rail = self.waiting["lightning" if source == "suspense" else "unapplied"]
        applied = receipt_applied(
            receipt_id=receipt_id,
            rail=rail,
            source=source,
            net_micro=more["cost_micro"],
            tax_micro=micro(step["tax"]),
            account_id=account_id,
            grant_id=grant_id,
        )
        append(self.ledger, [(receipt_id, 1, applied)], command)

    def _hold(self, step: dict[str, Any]) -> None:
        account_id, hold_id = self._account(step["grants"][0]), uuid4()
        self.holds[step["hold"]] = (account_id, hold_id)
        ucr = micro(step["credits"])
        done(
            self.ledger,
            commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=ucr, lease_s=604_800),
        )

    def _commit(self, step: dict[str, Any]) -> None:
        account_id, hold_id = self.holds[step["hold"]]
        done(
            self.ledger,
            commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=micro(step["credits"])),
        )

    def _release(self, step: dict[str, Any]) -> None:
        account_id, hold_id = self.holds[step["hold"]]
        done(self.ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="job-failed"))

    def _expiry(self, step: dict[str, Any]) -> None:
        done(self.ledger, commands.ExpireGrants(account_id=self._account(step["grant"])))

    def _suspense(self, step: dict[str, Any]) -> None:
        value = micro(step["value"])
        receipt = receipt_final(
            rail=step["rail"],
            asset=step["asset"],
            amount_minor=minor(step),
            case="no-top-up",
            value_micro=value,
            suspense_micro=value,
        )
        self.waiting[step["rail"]] = (receipt.receipt_id, step["rail"])
        append(self.ledger, [(receipt.receipt_id, 0, receipt)])

    def _gpu(self, step: dict[str, Any]) -> None:
        cost = JobCostRecorded(attempt_id=uuid4(), reason="late", gpu_ms=1, cost_micro=micro(step["cost"]))
        append(self.ledger, [(uuid4(), 0, cost)])

    def _account(self, grant: str) -> UUID:
        for step in self.steps:
            if step["step"] == "hold" and grant in step["grants"]:
                grant = step["grants"][0]
                break
        if grant not in self.accounts:
            self.accounts[grant] = open_account(self.ledger)
        return self.accounts[grant]

    def _lifetime_s(self, step: dict[str, Any]) -> int | None:
        if "expires" not in step:
            return None
        return (datetime.fromisoformat(step["expires"]) - datetime.fromisoformat(step["day"])).days * 86_400


def micro(text: str) -> int:
    """Amount in 10⁻⁶, exact."""
    scaled = Decimal(text) * 1_000_000
    assert scaled == int(scaled)
    return int(scaled)


def minor(step: dict[str, Any]) -> int:
    """Amount that arrived, in the asset's minor unit."""
    digits = 2 if step["asset"] == "USD" else decimals(step["asset"])
    return int(Decimal(step["amount"]).scaleb(digits))


def written(step: dict[str, Any]) -> Legs:
    """Legs that the bookkeeper wrote."""
    return {
        (account, commodity): int(Decimal(amount).scaleb(decimals(commodity)))
        for account, amount, commodity in step["legs"]
    }


def test_every_step_of_the_worked_story_is_booked_as_the_bookkeeper_wrote_it() -> None:
    story = Story()
    for step in story.steps:
        before = story.ledger.head()
        story.play(step)
        booked = [b for b in book_all(story.log()) if b.recorded.position > before and b.entry]
        assert len(booked) == 1, step
        assert balances([booked[0].entry]) == written(step), step


def test_the_totals_of_the_worked_story_follow_from_its_events() -> None:
    story = Story()
    expected: Legs = {}
    for step in story.steps:
        story.play(step)
        for key, amount in written(step).items():
            expected[key] = expected.get(key, 0) + amount
    totals = balances(entry for _, entry in book_all(story.log()))
    assert totals == {key: amount for key, amount in expected.items() if amount}
    assert totals["Income:Usage:Gross", "USD"] == -micro("162.771631")
    assert sum(amount for (_, commodity), amount in totals.items() if commodity == "USD") == 0
