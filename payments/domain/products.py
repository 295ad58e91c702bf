"""What can be bought: packs and free amounts, at a version of the price list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from msgspec import Struct

from ledger.limits import AMOUNT_MAX_UCR, UCR_PER_CREDIT
from payments.domain.money import micro_per_minor
from payments.limits import GROSS_MINOR_MAX, OPEN_QUOTES_MAX, PPM, QUOTE_LIFETIME_MAX_S, QUOTE_LIFETIME_S


class Pack(Struct, frozen=True, kw_only=True):
    """A named product: ``credits_ucr`` for ``price_minor`` net. A bonus shares the pack's grant and its price."""

    pack_id: str
    price_minor: int
    credits_ucr: int


class PackProduct(Struct, frozen=True, tag="pack"):
    """A pack, by id."""

    pack_id: str

    @property
    def code(self) -> str:
        """As in a quote."""
        return f"pack:{self.pack_id}"


class AmountProduct(Struct, frozen=True, tag="amount"):
    """As many credits as this net amount buys."""

    amount_minor: int

    @property
    def code(self) -> str:
        """As in a quote."""
        return "amount"


class CreditsProduct(Struct, frozen=True, tag="credits"):
    """Exactly these credits."""

    credits_ucr: int

    @property
    def code(self) -> str:
        """As in a quote."""
        return "credits"


Product = PackProduct | AmountProduct | CreditsProduct


class PriceBook(Struct, frozen=True, kw_only=True):
    """One version of the prices, in force from ``valid_from`` until the next. Prices are net.

    ``list_price_micro`` is the list price of one credit in 10⁻⁶ of the currency's major unit. ``tax_ppm`` is tax on
    top, in millionths. ``lifetime_s`` is how long bought credits live, None for ever.
    """

    version: str
    valid_from: datetime
    currency: str = "USD"
    list_price_micro: int = 10_000
    packs: tuple[Pack, ...] = (
        Pack(pack_id="starter", price_minor=1_000, credits_ucr=1_000 * UCR_PER_CREDIT),
        Pack(pack_id="studio", price_minor=5_000, credits_ucr=5_250 * UCR_PER_CREDIT),
        Pack(pack_id="factory", price_minor=20_000, credits_ucr=22_000 * UCR_PER_CREDIT),
    )
    min_minor: int = 500
    max_minor: int = 1_000_000
    tax_ppm: int = 0
    jurisdiction: str = ""
    lifetime_s: int | None = None
    quote_lifetime_s: int = QUOTE_LIFETIME_S
    open_quotes_max: int = OPEN_QUOTES_MAX

    def __post_init__(self) -> None:
        """Check that the prices can be sold at."""
        micro_per_minor(self.currency)
        assert 0 < self.min_minor <= self.max_minor <= GROSS_MINOR_MAX
        assert self.list_price_micro > 0 and 0 <= self.tax_ppm <= PPM
        assert 0 < self.quote_lifetime_s <= QUOTE_LIFETIME_MAX_S and self.open_quotes_max > 0
        assert all(p.price_minor > 0 and 0 < p.credits_ucr <= AMOUNT_MAX_UCR for p in self.packs)
        assert len({p.pack_id for p in self.packs}) == len(self.packs)

    def pack(self, pack_id: str) -> Pack | None:
        """A pack of this version."""
        return next((pack for pack in self.packs if pack.pack_id == pack_id), None)


class PriceList:
    """All versions of the prices; what was quoted keeps the version it was quoted at."""

    def __init__(self, books: Sequence[PriceBook]) -> None:
        assert books, "a price list has at least one version"
        self._books = tuple(sorted(books, key=lambda book: book.valid_from))
        assert all(a.valid_from < b.valid_from for a, b in pairwise(self._books))
        assert len({book.currency for book in self._books}) == 1, "one book currency per deployment"

    @property
    def currency(self) -> str:
        """The book currency, in which everything is sold."""
        return self._books[0].currency

    def at(self, when: datetime) -> PriceBook:
        """The version in force; before the first, the first."""
        return next((book for book in reversed(self._books) if book.valid_from <= when), self._books[0])
