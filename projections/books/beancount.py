"""The books as beancount reads them: parallel commodities without cost, and no tolerance for a wrong last digit.

beancount is GPL-2: it is run as a program in an environment of its own, never imported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from projections.books.formats import Account, Balances, ExportedEntry, commodities, facts, posting
from projections.books.model import render

# No lots at total cost: they leave 1e-26 and fail. No plugin onecommodity: it refuses accounts that hold several.
_OPTIONS = """option "inferred_tolerance_default" "*:0"
option "tolerance_multiplier" "0"
plugin "beancount.plugins.leafonly"
plugin "beancount.plugins.check_commodity"
"""


class Beancount:
    """``Format`` for beancount 2 and 3."""

    suffix = ".beancount"

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def header(self, first_day: date, accounts: Iterable[Account]) -> Iterator[str]:
        """Options, commodities and accounts, open from the month's first day."""
        held: defaultdict[str, list[str]] = defaultdict(list)
        pairs = sorted(accounts)
        for account in pairs:
            held[account.name].append(account.commodity)
        yield f'option "title" "Tallystick {first_day:%Y-%m}"\n'
        yield f'option "operating_currency" "{self._currency}"\n{_OPTIONS}\n'
        for commodity in commodities(pairs):
            yield f"{first_day} commodity {commodity}\n"
        yield "\n"
        for name, found in held.items():
            yield f"{first_day} open {name:<48} {','.join(found)}\n"

    def opening(self, first_day: date, balances: Balances) -> Iterator[str]:
        """One entry that brings the balances forward."""
        yield f'\n{first_day} * "balances brought forward"\n'
        yield from (posting(account, amount, indent=2) for account, amount in sorted(balances.items()))

    def entry(self, entry: ExportedEntry) -> Iterator[str]:
        """One entry with its facts as metadata."""
        yield f'\n{entry.booked_on} * "{entry.kind}"\n'
        yield from (f'  {name}: "{value}"\n' for name, value in facts(entry))
        yield from (posting(account, amount, indent=2) for account, amount in entry.legs)

    def closing(self, last_day: date, balances: Balances) -> Iterator[str]:
        """Balances at the end of the month; beancount asks for them at the beginning of the next day."""
        yield "\n"
        for account, amount in sorted(balances.items()):
            number = render(amount, account.commodity)
            yield f"{last_day + timedelta(days=1)} balance {account.name:<48}{number:>24} {account.commodity}\n"
