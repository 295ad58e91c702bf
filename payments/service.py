"""Top-ups as the API uses them: price, open, look at, and take in what rails notify."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from ledger.limits import INT64_MAX
from ledger.ports import Clock, Ids
from ledger.sansio import Commit, Row, Run, Wake
from payments import statements
from payments.domain.events import Quote
from payments.domain.products import PriceBook, PriceList, Product
from payments.domain.quote import make_quote
from payments.domain.topup import decode_topup, fold
from payments.drivers import PaymentDriver
from payments.effects import INBOX_TOPIC, PaymentCore, ReadStream
from payments.errors import NotificationRefused, RailUnknown, TopUpUnknown
from payments.limits import NOTIFICATION_BYTES_MAX, PAGE_MAX, TEXT_CHARS_MAX
from payments.opening import OpenTopUp, open_topup
from payments.rail import Hint, Rail
from payments.views import TopUpView, view_of


class TopUpsService:
    """Synchronous; safe from many threads."""

    def __init__(self, driver: PaymentDriver, prices: PriceList, clock: Clock, ids: Ids) -> None:
        self._driver = driver
        self._prices = prices
        self._clock = clock
        self._ids = ids

    @property
    def rails(self) -> tuple[str, ...]:
        """Names of the rails that are on."""
        return tuple(self._driver.rails)

    def price_book(self) -> PriceBook:
        """Packs, list price and limits in force now."""
        return self._prices.at(self._clock.now())

    def quote(self, product: Product) -> Quote:
        """Price a product; nothing is written.

        :raises PackUnknown: no such pack.
        :raises AmountOutOfRange: less or more than one top-up may be.
        """
        now = self._clock.now()
        return make_quote(self._prices.at(now), product, now)

    def open(self, asked: OpenTopUp) -> TopUpView:
        """Open a top-up at today's price; the same key gives the same one.

        :raises RailUnknown: no such rail, or switched off.
        :raises PackUnknown: no such pack.
        :raises AmountOutOfRange: less or more than one top-up may be.
        :raises TooManyOpenTopUps: the account holds as many quotes as it may.
        :raises KeyReused: the key was used with another body; names the field.
        :raises RailUnavailable: recorded, but the source cannot be asked: repeat with the same key.
        """
        self._rail(asked.rail)
        quote = self.quote(asked.product)
        core = open_topup(asked, quote, self._ids.new(), self.price_book().open_quotes_max)
        opened = self._driver.drive(core)
        return view_of(opened.topup, replayed=opened.replayed)

    def get(self, organisation_id: UUID, topup_id: UUID) -> TopUpView:
        """A top-up of this organisation, as the log has it now.

        :raises TopUpUnknown: no such top-up here.
        """
        return self._driver.drive(_read(organisation_id, topup_id))

    def list(self, organisation_id: UUID, *, before: int = INT64_MAX, limit: int = 50) -> list[TopUpView]:
        """Top-ups of an organisation, newest first, older than position ``before``; seconds behind the log."""
        page = {"organisation_id": organisation_id, "before": before, "limit": min(limit, PAGE_MAX)}
        return self._driver.drive(_list(page))

    def receive(self, rail_name: str, headers: Mapping[str, str], raw: bytes) -> bool:
        """Store a notification before it is acknowledged; whether it is new. Header names in lower case.

        :raises RailUnknown: no such rail, or switched off.
        :raises NotificationRefused: forged, stale, unreadable or oversized; nothing is stored.
        """
        rail = self._rail(rail_name)
        if len(raw) > NOTIFICATION_BYTES_MAX:
            raise NotificationRefused(reason="too-large")
        hint = rail.hint(headers, raw)
        if not _is_name(hint.ref) or not _is_name(hint.external_id):
            raise NotificationRefused(reason="unreadable")
        return self._driver.drive(_store(rail_name, hint, raw))

    def _rail(self, name: str) -> Rail:
        rail = self._driver.rails.get(name)
        if rail is None:
            raise RailUnknown(rail=name)
        return rail


def _is_name(text: str) -> bool:
    return 0 < len(text) <= TEXT_CHARS_MAX and text.isprintable()


def _read(organisation_id: UUID, topup_id: UUID) -> PaymentCore[TopUpView]:
    recorded = yield ReadStream(topup_id)
    topup = fold(recorded) if recorded and recorded[0].tag.startswith("payments.topup-opened.") else None
    if topup is None or topup.organisation_id != organisation_id:
        raise TopUpUnknown
    return view_of(topup)


def _list(page: Mapping[str, object]) -> PaymentCore[list[TopUpView]]:
    rows: list[Row] = yield Run(statements.LIST_TOPUPS, page)
    yield Commit()
    return [view_of(decode_topup(row["folded"])) for row in rows]


def _store(rail: str, hint: Hint, raw: bytes) -> PaymentCore[bool]:
    row = {"rail": rail, "external_id": hint.external_id, "ref": hint.ref, "raw": raw}
    new: list[Row] = yield Run(statements.STORE_NOTIFICATION, row)
    yield Commit()
    yield Wake(INBOX_TOPIC)
    return bool(new)
