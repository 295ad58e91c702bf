"""What callers ask for: random requests about what is there, and about what is not; and the same again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.domain.commands import AccountCommand, Command
from ledger.ports import Companion, Request
from simulation.ledger.wishes import of_accounts, of_grants, of_holds
from simulation.ledger.wishes.about import WINDOWS, About

Maker = Callable[[About, UUID], AccountCommand]
_MAKERS: dict[str, tuple[float, Maker]] = {
    "hold": (16, of_holds.hold),
    "commit": (12, of_holds.commit),
    "grant": (10, of_grants.grant),
    "debit": (8, of_holds.debit),
    "reverse": (7, of_holds.reverse),
    "expire": (7, of_holds.expire),
    "release": (5, of_holds.release),
    "raise": (5, of_holds.raise_hold),
    "revoke": (5, of_grants.revoke),
    "renew": (4, of_holds.renew),
    "dispute": (4, of_grants.dispute),
    "settle dispute": (3, of_grants.settle_dispute),
    "extend": (3, of_grants.extend),
    "transfer": (4, of_accounts.transfer),
    "adjust": (4, of_accounts.adjust),
    "policy": (2, of_accounts.set_policy),
    "expire grants": (2, of_accounts.expire_grants),
    "unfreeze": (1, of_accounts.unfreeze_account),
    "freeze": (1, of_accounts.freeze_account),
    "open": (0.5, of_accounts.open_account),
    "close": (0.3, of_accounts.close_account),
}
_WEIGHTS = {name: weight for name, (weight, _) in _MAKERS.items()}
_MADE = {name: maker for name, (_, maker) in _MAKERS.items()}


class Wishes:
    """Makes requests."""

    def __init__(self, about: About) -> None:
        self._dice = about.dice
        self._about = about
        self._keys = 0
        self._sent: list[Request] = []

    def opening(self) -> list[Request]:
        """The accounts and budgets, with something in them."""
        made = [
            self.request(of_accounts.open_account(self._about, account_id)) for account_id in self._about.account_ids
        ]
        made += [self.request(of_grants.grant(self._about, account_id)) for account_id in self._about.account_ids]
        made += [self.request(self._budget(budget_id)) for budget_id in self._about.budget_ids]
        return made

    def next(self) -> Request:
        """A new request, or one that was made before."""
        if self._sent and self._dice.happens(0.12):
            return self._again(self._dice.choose(self._sent[-40:]))
        request = self._wish()
        self._sent.append(request)
        return request

    def _again(self, before: Request) -> Request:
        """The same once more; now and then with another body."""
        if before.command is None or not self._dice.happens(0.2):
            return before
        if before.body is not None:
            return _changed(before, body=self._dice.choose(({"n": 2}, {"n": 0, "m": 1}, {})))
        changes = [
            {field.name: field.default}
            for field in msgspec.structs.fields(before.command)
            if field.default is not msgspec.NODEFAULT
        ]
        if (amount_ucr := getattr(before.command, "amount_ucr", None)) is not None:
            changes.append({"amount_ucr": amount_ucr + 1 or 1})
        return _changed(before, command=_changed(before.command, **self._dice.choose(changes))) if changes else before

    def _wish(self) -> Request:
        if self._dice.happens(0.04):
            return self._companions_alone()
        if self._dice.happens(0.03):
            return self.request(self._budget(self._dice.choose(self._about.budget_ids)))
        command = self.command()
        linked: tuple[AccountCommand, ...] = ()
        if self._dice.happens(0.1):
            linked = tuple(self.command() for _ in range(1 + self._dice.below(3)))
        request = self.request(command, linked=linked)
        return self._with_trimmings(request)

    def _with_trimmings(self, request: Request) -> Request:
        dice, changes = self._dice, dict[str, Any]()
        if dice.happens(0.1):
            changes["dry_run"] = True
        if dice.happens(0.06):
            version = self._about.book.versions.get(self._first(request), 0)
            changes["expected_account_version"] = max(0, version + dice.choose((0, 0, 0, -1, 1)))
        if dice.happens(0.08):
            changes["on_accept"] = (self._companion("simulation.accepted.v1"),)
        if dice.happens(0.05):
            changes["on_refuse"] = (self._companion("simulation.refused.v1"),)
        if dice.happens(0.05):
            changes["body"] = {"n": dice.below(2)}
        return _changed(request, **changes) if changes else request

    @staticmethod
    def _first(request: Request) -> UUID:
        assert request.command is not None and not isinstance(request.command, commands.SetBudget)
        return request.command.account_id

    def _companion(self, tag: str) -> Companion:
        stream_id = self._dice.choose(self._about.streams) if self._dice.happens(0.7) else self._about.new()
        version = self._about.book.versions.get(stream_id, 0)
        if self._dice.happens(0.1):
            version = version + 1
        return Companion(stream_id, version, tuple(NewEvent(tag, b"{}") for _ in range(1 + self._dice.below(2))))

    def _companions_alone(self) -> Request:
        return Request(
            key=self._key(),
            operation="note",
            scope_id=self._dice.choose(self._about.account_ids),
            on_accept=(self._companion("simulation.noted.v1"),),
            subject_id=self._about.new(),
        )

    def request(self, command: Command, *, linked: tuple[AccountCommand, ...] = ()) -> Request:
        """A request with a key of its own."""
        return Request(
            key=self._key(),
            operation=str(type(command).__struct_config__.tag),
            command=command,
            linked=linked,
            origin="caller" if self._dice.happens(0.6) else "system",
            subject_id=self._about.new() if self._dice.happens(0.3) else None,
            scope_id=command.organisation_id if isinstance(command, commands.SetBudget) else None,
        )

    def _key(self) -> str:
        self._keys += 1
        return f"k{self._keys}"

    # --- commands

    def command(self) -> AccountCommand:
        """A command about one account."""
        account_id = self._dice.choose(self._about.account_ids)
        if self._dice.happens(0.01):
            account_id = self._about.new()
        account = self._about.book.accounts.get(account_id)
        if account is None and self._dice.happens(0.8):
            return of_accounts.open_account(self._about, account_id)
        weights = dict(_WEIGHTS)
        if account is not None and account.frozen:
            weights["unfreeze"] = 30.0
        if account is not None and not any(grant.live for grant in account.grants.values()):
            weights["close"] = 4.0
        return _MADE[self._dice.weighted(weights)](self._about, account_id)

    def _budget(self, budget_id: UUID) -> commands.SetBudget:
        return commands.SetBudget(
            budget_id=budget_id,
            organisation_id=self._about.organisations[0 if self._dice.happens(0.8) else -1],
            subject="key",
            window=self._dice.choose(WINDOWS),
            limit_ucr=self._dice.choose((None, 0, 200, 1_000, 5_000)),
        )


def _changed(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)
