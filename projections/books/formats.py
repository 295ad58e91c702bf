"""What an export is made of, whatever its format: accounts, balances, entries, one file per month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from ledger.amounts import format_credits
from ledger.ids import render as render_id
from projections.books.model import render


class Account(NamedTuple):
    """An account of the chart in one commodity."""

    name: str
    commodity: str


Balances = Mapping[Account, int]


class ExportedEntry(Struct, frozen=True, kw_only=True):
    """An entry with all that is written about it; ``legs`` and ``gone`` are signed.

    ``issued`` are grants that begin here: id, units, cost basis, kind, currency.
    """

    position: int
    kind: str
    booked_on: date
    effective_at: datetime
    recorded_at: datetime
    legs: tuple[tuple[Account, int], ...]
    gone: tuple[tuple[UUID, int], ...] = ()
    issued: tuple[tuple[UUID, int, int, str, str], ...] = ()
    account_id: UUID | None = None
    hold_id: UUID | None = None
    grant_id: UUID | None = None
    receipt_id: UUID | None = None
    reference_id: UUID | None = None


class Format(Protocol):
    """Text of a file, piece by piece."""

    @property
    def suffix(self) -> str:
        """File suffix with its dot."""
        ...

    def header(self, first_day: date, accounts: Iterable[Account]) -> Iterator[str]:
        """Options, commodities and accounts of a month."""
        ...

    def opening(self, first_day: date, balances: Balances) -> Iterator[str]:
        """One entry that brings the balances forward."""
        ...

    def entry(self, entry: ExportedEntry) -> Iterator[str]:
        """One entry."""
        ...

    def closing(self, last_day: date, balances: Balances) -> Iterator[str]:
        """Assertions of the balances at the end of the month."""
        ...


def facts(entry: ExportedEntry) -> Iterator[tuple[str, str]]:
    """What is noted beside an entry: its event, ids, and enough of its grants to replay the deferred formula."""
    yield "event", str(entry.position)
    yield "recorded", _instant(entry.recorded_at)
    if entry.effective_at != entry.recorded_at:
        yield "effective", _instant(entry.effective_at)
    if entry.account_id is not None:
        yield "account", render_id("acc", entry.account_id)
    if entry.issued:
        yield (
            "issued",
            " ".join(
                f"{render_id('grant', grant)} {format_credits(units_ucr)} {render(cost_micro, currency)} {kind}"
                for grant, units_ucr, cost_micro, kind, currency in entry.issued
            ),
        )
    if entry.gone:
        parts = (f"{render_id('grant', grant)} {format_credits(units_ucr)}" for grant, units_ucr in entry.gone)
        yield "gone", " ".join(parts)
    if entry.hold_id is not None:
        yield "hold", render_id("hold", entry.hold_id)
    if entry.receipt_id is not None:
        yield "receipt", render_id("rcp", entry.receipt_id)
    if entry.reference_id is not None:
        yield "job", render_id("job", entry.reference_id)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def posting(account: Account, amount: int, *, indent: int) -> str:
    """One line of an entry, its number aligned."""
    return f"{' ' * indent}{account.name:<48}{render(amount, account.commodity):>24} {account.commodity}\n"


def commodities(accounts: Iterable[Account]) -> list[str]:
    """Commodities of some accounts, sorted."""
    return sorted({account.commodity for account in accounts})
