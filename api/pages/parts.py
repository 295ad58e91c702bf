"""What the pages need beyond what the API has: ports, built once by the composition root."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from api.pages.sessions import Sessions
from customers.domain.keys import ApiKey, Principal
from customers.domain.organisations import Organisation
from customers.keys import MadeKey
from customers.organisations import SignedUp
from payments.sandbox.books import Movement
from payments.sandbox.desk import DeskView
from workers.generation.tools import Tool


class Organisations(Protocol):
    """``customers.organisations.OrganisationsService``."""

    def sign_up(self, key: str, name: str) -> SignedUp:
        """Make an organisation, once a key."""
        ...

    def get(self, organisation_id: UUID) -> Organisation:
        """One organisation."""
        ...


class SessionKeys(Protocol):
    """``customers.keys.KeysService``."""

    def create(self, organisation_id: UUID, name: str, scopes: Iterable[str]) -> MadeKey:
        """Make a key."""
        ...

    def list(self, organisation_id: UUID) -> list[ApiKey]:
        """Keys of an organisation."""
        ...

    def revoke(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """End a key."""
        ...

    def verify(self, secret: str) -> Principal:
        """Who holds a secret."""
        ...

    def recognise(self, organisation_id: UUID, key_id: UUID) -> Principal:
        """Who holds a key, by its id."""
        ...


class Desk(Protocol):
    """``payments.sandbox.desk.SandboxDesk``: what a payer can do on the sandbox's page."""

    def charge(self, ref: str) -> DeskView:
        """A charge."""
        ...

    def pay(self, ref: str, amount_minor: int | None = None) -> Movement:
        """Pay."""
        ...

    def pay_late(self, ref: str) -> Movement:
        """Pay after the window has closed."""
        ...

    def fail(self, ref: str) -> Movement:
        """Fail to pay."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PageParts:
    """What page routes use beside ``api.services.Services``.

    ``desk`` is None where the sandbox is off. ``tool`` is what the form offers. ``image_sources`` are the origins that
    pictures come from, for the content security policy. ``secure``: people reach us over TLS.
    """

    organisations: Organisations
    keys: SessionKeys
    desk: Desk | None
    tool: Tool
    sessions: Sessions
    image_sources: tuple[str, ...] = ()
    secure: bool = False
