"""From what is asked to verdicts: whose it is, one submission for all, an outcome each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar, cast
from uuid import UUID

from msgspec.structs import replace

from api.call import Call
from api.errors import Invalid
from api.ledger.asked import NOBODY, Asked, Group, compared, compared_group, derived
from api.ledger.commands import Place, named
from api.ledger.owners import KnownOwners
from api.ledger.places import located
from api.problems import Found, scope_missing
from api.services import Services
from customers.domain.keys import Principal
from ledger import ids
from ledger.domain.commands import AccountCommand, Command
from ledger.domain.verdicts import Answer, Done
from ledger.errors import InvalidRequest, OutcomeUnknown
from ledger.limits import SUBMIT_TIMEOUT_S
from ledger.ports import Request

T = TypeVar("T")
_GRACE_S = 1.0
"""The ledger keeps the deadline itself, and says more; this is for when it does not."""

LINKED = "http/linked"
"""What keys of groups are kept under."""


class Outcome(NamedTuple):
    """What became of it: an answer of the ledger to a request, or a problem before it came so far."""

    asked: Asked | Group
    request: Request | None
    answer: Answer | None
    problem: Found | None = None


def desk_of(call: Call) -> Desk:
    """The desk of the application."""
    return cast("Desk", call.app.state.desk)


class Desk:
    """Where requests of all routes come together. Used from one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._owners = KnownOwners(services.owners, services.crossing)

    async def do(self, principal: Principal, asked: Sequence[Asked | Group]) -> list[Outcome]:
        """Do all of it, each on its own, in order.

        :raises Invalid: an amount or an id that is none, or what the ledger takes from nobody; nothing was done.
        :raises NotDone, OutcomeUnknown: ask again with the same keys.
        """
        await self._learn(principal, asked)
        made = [(item, self._made(principal, item)) for item in asked]
        answers = iter(await self._answers([(item, one) for item, one in made if isinstance(one, Request)]))
        return [
            self._outcome(principal, item, one, next(answers))
            if isinstance(one, Request)
            else Outcome(item, None, None, one)
            for item, one in made
        ]

    async def _answers(self, made: Sequence[tuple[Asked | Group, Request]]) -> Sequence[Answer]:
        """Verdicts of requests. Raises as ``do``."""
        try:
            return await self.submit([request for _, request in made]) if made else ()
        except InvalidRequest as error:
            raise located(error, made) from error

    async def submit(self, requests: Sequence[Request]) -> list[Answer]:
        """Hand requests to the writer and wait for their verdicts.

        :raises NotDone, OutcomeUnknown: ask again with the same keys.
        """
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S + _GRACE_S):
                return await self._services.ledger.submit_async(requests)
        except TimeoutError:
            raise OutcomeUnknown("the deadline passed while the request was queued or written") from None

    async def owns(self, principal: Principal, account_id: UUID) -> bool:
        """Whether an account is the caller's organisation's."""
        if account_id != principal.account_id:
            await self._owners.learn([account_id], [])
        return self._mine(principal, account_id)

    async def _learn(self, principal: Principal, asked: Sequence[Asked | Group]) -> None:
        accounts: set[UUID] = set()
        holds: set[UUID] = set()
        for item in _flat(asked):
            if item.kind.whose == "hold":
                holds.add(item.target)
            elif item.kind.whose == "account":
                accounts.update(_accounts(item, principal))
        accounts.discard(principal.account_id)
        if accounts or holds:
            await self._owners.learn(accounts, holds)

    def _made(self, principal: Principal, item: Asked | Group) -> Request | Found:
        """The request, or why there is none."""
        if isinstance(item, Group):
            return self._group(principal, item)
        new = self._services.ids.new() if item.kind.mints else NOBODY
        place = self._place(principal, item, new)
        if isinstance(place, Found):
            return place
        body = item.body
        return Request(
            key=item.key,
            operation=item.kind.operation,
            command=_command(item, place),
            scope_id=place.organisation_id if item.kind.whose == "organisation" else place.account_id,
            body=compared(item),
            origin="caller",
            subject_id=new if item.kind.mints else item.target,
            expected_account_version=getattr(body, "expected_account_version", None),
            dry_run=body.dry_run,
        )

    def _group(self, principal: Principal, group: Group) -> Request | Found:
        group_id = self._services.ids.new()
        made: list[Command] = []
        accounts: list[UUID] = []
        for index, item in enumerate(group.parts):
            place = self._place(principal, item, derived(group_id, index))
            if isinstance(place, Found):
                return replace(place, members={**place.members, "linked_index": index})
            made.append(_command(item, place))
            accounts.append(place.account_id)
        return Request(
            key=group.key,
            operation=LINKED,
            command=made[0],
            linked=tuple(cast("list[AccountCommand]", made[1:])),
            scope_id=accounts[0],
            body=compared_group(group, accounts),
            origin="caller",
            subject_id=group_id,
            expected_account_version=group.expected_account_version,
            dry_run=group.dry_run,
        )

    def _place(self, principal: Principal, item: Asked, new: UUID) -> Place | Found:
        """Where it goes, or why it goes nowhere."""
        kind, organisation_id = item.kind, principal.organisation_id
        if kind.scope not in principal.scopes:
            return scope_missing(kind.scope)
        if kind.whose == "organisation":
            return Place(new if kind.mints else NOBODY, organisation_id, item.target, new)
        if kind.whose == "hold":
            return self._hold_place(organisation_id, item)
        accounts = _accounts(item, principal)
        if not all(self._mine(principal, one) for one in accounts):
            return Found(code="account-unknown")
        return Place(accounts[0], organisation_id, item.target, new)

    def _hold_place(self, organisation_id: UUID, item: Asked) -> Place | Found:
        held = self._owners.hold(item.target)
        account = item.body.account_id
        if held is None or held.organisation_id != organisation_id:
            return Found(code="hold-unknown")
        if account is not None and _account(item, account) != held.account_id:
            return Found(code="hold-unknown")
        if held.job is not None:
            return Found(code="hold-of-job", members={"job_id": ids.render("job", held.job)})
        return Place(held.account_id, organisation_id, item.target, NOBODY)

    def _mine(self, principal: Principal, account_id: UUID) -> bool:
        return account_id == principal.account_id or self._owners.owns(principal.organisation_id, account_id)

    def _outcome(self, principal: Principal, item: Asked | Group, request: Request, answer: Answer) -> Outcome:
        verdict = answer.verdict
        if isinstance(item, Asked) and item.kind.name == "hold" and isinstance(verdict, Done) and not request.dry_run:
            assert verdict.subject_id is not None and request.scope_id is not None
            self._owners.opened(verdict.subject_id, request.scope_id, principal.organisation_id)
        return Outcome(item, request, answer)


def _flat(asked: Sequence[Asked | Group]) -> Iterator[Asked]:
    for item in asked:
        if isinstance(item, Group):
            yield from item.parts
        else:
            yield item


def _accounts(item: Asked, principal: Principal) -> list[UUID]:
    """Accounts that are acted on, the first one whose stream is written."""
    if item.kind.target == "account_id":
        return [item.target]
    account = item.body.account_id
    found = [principal.account_id if account is None else _account(item, account)]
    if item.kind.name == "transfer":
        found.append(_account(item, item.body.to_account_id, "to_account_id"))
    return found


def _account(item: Asked, text: str, field: str = "account_id") -> UUID:
    return _placed(item, lambda: named("acc", text, field))


def _command(item: Asked, place: Place) -> Command:
    return _placed(item, lambda: item.kind.make(item.body, place))


def _placed(item: Asked, read: Callable[[], T]) -> T:
    """Read something of a body; its mistakes are told with their place in the whole one."""
    try:
        return read()
    except Invalid as error:
        raise Invalid([replace(one, pointer=f"{item.where}{one.pointer}") for one in error.faults]) from error
