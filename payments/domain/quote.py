"""Credits against money, at one version of the prices. Ints only: money rounds up, credits down to a micro-credit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from ledger.limits import AMOUNT_MAX_UCR, UCR_PER_CREDIT
from payments.domain.events import Quote
from payments.domain.money import micro_per_minor
from payments.domain.products import AmountProduct, CreditsProduct, PackProduct, PriceBook, Product
from payments.errors import AmountOutOfRange, PackUnknown
from payments.limits import PPM


def make_quote(book: PriceBook, product: Product, now: datetime) -> Quote:
    """Price a product, from ``now`` until the book's lifetime of a quote has gone by.

    :raises PackUnknown: no such pack in this version.
    :raises AmountOutOfRange: less or more than one top-up may be.
    """
    net_minor, credits_ucr = _priced(book, product)
    unit = micro_per_minor(book.currency)
    tax_minor = _half_up(net_minor * book.tax_ppm, PPM)
    return Quote(
        product=product.code,
        price_version=book.version,
        credits_ucr=credits_ucr,
        currency=book.currency,
        net_minor=net_minor,
        tax_minor=tax_minor,
        gross_minor=net_minor + tax_minor,
        cost_micro=net_minor * unit,
        list_price_micro=book.list_price_micro,
        list_value_micro=list_value(credits_ucr, book.list_price_micro),
        quoted_at=now,
        expires_at=now + timedelta(seconds=book.quote_lifetime_s),
        lifetime_s=book.lifetime_s,
        jurisdiction=book.jurisdiction,
    )


def list_value(credits_ucr: int, list_price_micro: int) -> int:
    """What credits cost at list price, in book units, rounded down."""
    return credits_ucr * list_price_micro // UCR_PER_CREDIT


def credits_for(net_micro: int, list_price_micro: int) -> int:
    """Micro-credits that an amount buys at list price, rounded down."""
    return net_micro * UCR_PER_CREDIT // list_price_micro


def credits_at_first_sight(book: PriceBook, product_code: str, net_micro: int) -> int:
    """Micro-credits for money that no quote binds: the product's price today; what exceeds it at list price."""
    kind, _, pack_id = product_code.partition(":")
    pack = book.pack(pack_id) if kind == "pack" else None
    if pack is None:
        return credits_for(net_micro, book.list_price_micro)
    price_micro = pack.price_minor * micro_per_minor(book.currency)
    if net_micro <= price_micro:
        return pack.credits_ucr * net_micro // price_micro
    return pack.credits_ucr + credits_for(net_micro - price_micro, book.list_price_micro)


def _priced(book: PriceBook, product: Product) -> tuple[int, int]:
    unit = micro_per_minor(book.currency)
    match product:
        case PackProduct(pack_id):
            pack = book.pack(pack_id)
            if pack is None:
                raise PackUnknown(pack=pack_id)
            return pack.price_minor, pack.credits_ucr
        case AmountProduct(amount_minor):
            net_minor, credits_ucr = amount_minor, credits_for(amount_minor * unit, book.list_price_micro)
        case CreditsProduct(credits_ucr):
            net_minor = -(-credits_ucr * book.list_price_micro // (UCR_PER_CREDIT * unit))
        case _:
            assert_never(product)
    if not (book.min_minor <= net_minor <= book.max_minor and 0 < credits_ucr <= AMOUNT_MAX_UCR):
        raise AmountOutOfRange(min_minor=book.min_minor, max_minor=book.max_minor, currency=book.currency)
    return net_minor, credits_ucr


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
