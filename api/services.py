"""What the HTTP side needs of the rest of the program: ports, built once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from api.crossing import Crossing
from api.cursors import Cursors
from api.live.hub import Hub
from api.ratelimit import Limiter
from customers.domain.keys import ApiKey, Principal
from customers.keys import MadeKey, RotatedKey
from ledger.ports import Clock, Ids
from ledger.serving import ServingLedger
from payments.domain.events import Quote
from payments.domain.products import PriceBook, Product
from payments.opening import OpenTopUp
from payments.views import TopUpView
from projections.statement import StatementPage
from workers.objects.port import StoredObject
from workers.service import Jobs


class Owners(Protocol):
    """``ledger.store.owners.PostgresOwners``."""

    def of_accounts(self, account_ids: Collection[UUID]) -> Mapping[UUID, UUID]:
        """Organisation of each account that exists."""
        ...

    def of_holds(self, hold_ids: Collection[UUID]) -> Mapping[UUID, tuple[UUID, UUID, UUID | None]]:
        """Account, organisation and job of each hold that exists."""
        ...


class Keys(Protocol):
    """``customers.keys.KeysService``."""

    def create(
        self,
        organisation_id: UUID,
        name: str,
        scopes: Iterable[str],
        *,
        lifetime_s: int | None = None,
        within: Iterable[str] | None = None,
    ) -> MadeKey:
        """Make a key."""
        ...

    def list(self, organisation_id: UUID) -> list[ApiKey]:
        """Keys of an organisation."""
        ...

    def rotate(
        self, organisation_id: UUID, key_id: UUID, *, overlap_s: int = ..., within: Iterable[str] | None = None
    ) -> RotatedKey:
        """Replace a key."""
        ...

    def revoke(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """End a key."""
        ...

    def verify(self, secret: str) -> Principal:
        """Who holds a secret."""
        ...

    def recall(self, secret: str) -> Principal | None:
        """Who holds a secret, from memory."""
        ...


class TopUps(Protocol):
    """``payments.service.TopUpsService``."""

    @property
    def rails(self) -> tuple[str, ...]:
        """Rails that are on."""
        ...

    def price_book(self) -> PriceBook:
        """Prices in force."""
        ...

    def quote(self, product: Product) -> Quote:
        """Price a product."""
        ...

    def open(self, asked: OpenTopUp) -> TopUpView:
        """Open a top-up."""
        ...

    def get(self, organisation_id: UUID, topup_id: UUID) -> TopUpView:
        """One top-up."""
        ...

    def list(self, organisation_id: UUID, *, before: int = ..., limit: int = ...) -> list[TopUpView]:
        """Top-ups, newest first."""
        ...

    def receive(self, rail_name: str, headers: Mapping[str, str], raw: bytes) -> bool:
        """Take in a notification."""
        ...


class Statements(Protocol):
    """``projections.statement.StatementReader``."""

    def latest(self, organisation_id: UUID, account_id: UUID, before_position: int | None, limit: int) -> StatementPage:
        """Lines of an account, newest first."""
        ...


class SignedLinks(Protocol):
    """``workers.objects.local.LocalObjects``, where pictures lie in a folder of ours."""

    def open_link(self, key: str, *, until: int, file_name: str, signature: str, now: datetime) -> StoredObject:
        """What a signed link shows."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that routes use. ``links`` is None where another store serves pictures itself.

    ``unready`` names the parts that do not answer, for ``/readyz``.
    """

    public_url: str
    clock: Clock
    ids: Ids
    ledger: ServingLedger
    owners: Owners
    keys: Keys
    jobs: Jobs
    topups: TopUps
    statements: Statements
    links: SignedLinks | None
    hub: Hub
    limiter: Limiter
    cursors: Cursors
    crossing: Crossing
    unready: Callable[[], list[str]]

    @property
    def top_up_url(self) -> str:
        """Where people add credits."""
        return f"{self.public_url}/"
