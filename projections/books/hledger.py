"""The books as hledger reads them; it does not read beancount's syntax."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from projections.books.formats import Account, Balances, ExportedEntry, commodities, facts, posting
from projections.books.model import decimals, render


class Hledger:
    """``Format`` for hledger's journals, made for ``hledger check --strict``."""

    suffix = ".journal"

    def header(self, first_day: date, accounts: Iterable[Account]) -> Iterator[str]:
        """Commodities with their decimals, which is the precision that entries balance to; and accounts."""
        pairs = sorted(accounts)
        yield f"; Tallystick {first_day:%Y-%m}\n\n"
        for commodity in commodities(pairs):
            yield f"commodity 1000.{'0' * decimals(commodity)} {commodity}\n"
        yield "\n"
        yield from (f"account {name}\n" for name in dict.fromkeys(account.name for account in pairs))

    def opening(self, first_day: date, balances: Balances) -> Iterator[str]:
        """One entry that brings the balances forward."""
        yield f"\n{first_day} * balances brought forward\n"
        yield from (posting(account, amount, indent=4) for account, amount in sorted(balances.items()))

    def entry(self, entry: ExportedEntry) -> Iterator[str]:
        """One entry with its facts as tags."""
        yield f"\n{entry.booked_on} * {entry.kind}\n"
        yield from (f"    ; {name}: {value}\n" for name, value in facts(entry))
        yield from (posting(account, amount, indent=4) for account, amount in entry.legs)

    def closing(self, last_day: date, balances: Balances) -> Iterator[str]:
        """Balances at the end of the month, asserted on an entry of zeros."""
        yield f"\n{last_day} * balances at the end of the month\n"
        for account, amount in sorted(balances.items()):
            zero, number = render(0, account.commodity), render(amount, account.commodity)
            yield f"    {account.name:<48} {zero} {account.commodity} = {number} {account.commodity}\n"
