"""What a page shows, asked of the services: synchronous, one crossing a page. What the key may not see is left out."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from api.pages.call import Member
from api.pages.code import Code, as_code
from api.pages.limits import JOBS_SHOWN, LINES_SHOWN, TOPUPS_LOOKED_AT, TOPUPS_SHOWN
from api.pages.parts import PageParts
from api.pages.reading import Fields, job_params
from api.pages.show import (
    BalanceCard,
    Choices,
    JobCard,
    Price,
    StatementCard,
    balance_card,
    choices,
    job_card,
    price_tag,
    statement_card,
)
from api.pages.show_topups import PENDING, AddCredits, TopUpCard, add_credits, topup_card
from api.services import Services
from workers.errors import InvalidInputs

_UNSAID = "."
"""Stands for a prompt that is still to be written: prices do not depend on it."""

_LABELS = {"negative_prompt": "Leave out", "aspect_ratio": "Size", "images": "How many"}


class Home(Struct, frozen=True, kw_only=True):
    """The page of one account; None where the key may not see it."""

    name: str
    balance: BalanceCard | None
    statement: StatementCard | None
    jobs: list[JobCard]
    topups: list[TopUpCard]
    offer: AddCredits | None
    choices: Choices | None
    price: Price
    code: Code
    fields: dict[str, str]
    follow: str


class Loader:
    """Asks the services for one request or stream."""

    def __init__(self, services: Services, parts: PageParts) -> None:
        self._services = services
        self._parts = parts

    def home(self, member: Member, fields: Fields, price: Price | None = None) -> Home:
        """Everything, with a form as it was filled in."""
        balance, jobs, topups = self.balance(member), self.jobs(member), self.pending(member)
        return Home(
            name=self.name(member),
            balance=balance,
            statement=self.statement(member),
            jobs=jobs,
            topups=topups,
            offer=self.offer(member),
            choices=choices(self._parts.tool, dict(fields)) if member.may("jobs:write") else None,
            price=price or self.price(member, fields),
            code=self.code(fields),
            fields=dict(fields),
            follow=following(balance.version if balance else 0, jobs, topups),
        )

    def name(self, member: Member) -> str:
        """Name of the organisation."""
        return self._parts.organisations.get(member.organisation_id).name

    def balance(self, member: Member) -> BalanceCard | None:
        """What the account has now."""
        if not member.may("balance:read"):
            return None
        found = self._services.ledger.balance(member.account_id)
        return None if found is None else balance_card(found)

    def statement(self, member: Member, before: int | None = None) -> StatementCard | None:
        """Lines, newest first; up to a second behind the balance."""
        if not member.may("statement:read"):
            return None
        page = self._services.statements.latest(member.organisation_id, member.account_id, before, LINES_SHOWN)
        return statement_card(page.lines, has_more=page.has_more)

    def folded(self, member: Member) -> int:
        """Position that the statement has reached."""
        return self._services.statements.latest(member.organisation_id, member.account_id, None, 1).log_position

    def jobs(self, member: Member) -> list[JobCard]:
        """Newest jobs; those under way as they are now."""
        if not member.may("jobs:read"):
            return []
        page = self._services.jobs.list(member.organisation_id, limit=JOBS_SHOWN)
        return [job_card(job) if job.ended else self.job(member, job.job_id) for job in page.jobs]

    def job(self, member: Member, job_id: UUID) -> JobCard:
        """One job, as it is now. Raises JobUnknown."""
        return job_card(self._services.jobs.get(member.organisation_id, job_id))

    def pending(self, member: Member) -> list[TopUpCard]:
        """Top-ups that wait for money, as they are now, newest first."""
        if not member.may("topups:read"):
            return []
        found = self._services.topups.list(member.organisation_id, limit=TOPUPS_LOOKED_AT)
        waiting = [topup.topup_id for topup in found if topup.state in PENDING][:TOPUPS_SHOWN]
        return [card for topup_id in waiting if (card := self.topup(member, topup_id)).pending]

    def topup(self, member: Member, topup_id: UUID) -> TopUpCard:
        """One top-up, as it is now. Raises TopUpUnknown."""
        found = self._services.topups.get(member.organisation_id, topup_id)
        return topup_card(found, self._services.clock.now())

    def offer(self, member: Member) -> AddCredits | None:
        """What can be bought; None where there is no rail, or no leave."""
        topups = self._services.topups
        if not member.may("topups:write") or not topups.rails:
            return None
        return add_credits(topups.price_book(), topups.rails)

    def price(self, member: Member, fields: Fields) -> Price:
        """The price of the form as it is, with or without a prompt."""
        if not member.may("jobs:read"):
            return Price(fault="This key may not see prices.")
        try:
            params = job_params(fields)
            asked = replace(params, prompt=params.prompt or _UNSAID)
            return price_tag(self._services.jobs.quote(member.organisation_id, member.account_id, asked))
        except InvalidInputs as error:
            return fault_of(error)

    def code(self, fields: Fields) -> Code:
        """The form as it is, as code."""
        try:
            return as_code(self._services.public_url, job_params(fields))
        except InvalidInputs:
            return as_code(self._services.public_url)


def fault_of(error: InvalidInputs) -> Price:
    """What is wrong with a form, in place of its price."""
    problem = error.problems[0]
    field = problem.pointer.removeprefix("/")
    label = _LABELS.get(field, field.replace("_", " ").capitalize())
    return Price(fault=f"{label}: {problem.detail}.")


def following(version: int, jobs: list[JobCard], topups: list[TopUpCard]) -> str:
    """Query of the stream that keeps a page current, from what the page shows on."""
    open_jobs = ",".join(job.job_id for job in jobs if not job.ended)
    open_topups = ",".join(topup.topup_id for topup in topups)
    return f"version={version}&jobs={open_jobs}&topups={open_topups}"
