"""The port of a payment rail, and what passes through it.

Asking the source (``lookup``) is the only thing that moves money. A notification is a hint: it says what to look up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

Direction = Literal["in", "out"]
ObservationState = Literal["seen", "confirming", "final", "reversed", "failed"]
RefundState = Literal["sent", "succeeded", "failed", "unknown"]


class OpenCharge(Struct, frozen=True, kw_only=True):
    """What to collect. ``key`` is ``topup:{id}:{rail}:{attempt}``: the same key gives the same charge."""

    key: str
    topup_id: UUID
    asset: str
    amount_minor: int
    expires_at: datetime
    description: str = ""


class Instruction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to pay: a page, a BOLT11 invoice, or an address with its URI. ``ref`` names the charge at the source.

    ``amount_minor`` is what the payer is asked for, in minor units of ``asset``; ``expires_at`` by the rail's clock.
    """

    ref: str
    asset: str
    amount_minor: int
    expires_at: datetime
    url: str = ""
    bolt11: str = ""
    address: str = ""
    uri: str = ""


class Observation(Struct, frozen=True, kw_only=True):
    """One movement as the source tells it now.

    ``external_id`` is the receipt key (payment, ``txid:vout`` …), unique on the rail. ``ref`` is the charge it
    belongs to, empty where the source knows none; every other movement is looked up by its ``external_id``.
    ``amount_minor`` and ``fee_minor`` are minor units of ``asset``; a fee not known yet is None. ``first_seen`` and
    ``at`` (of the present state) are by the rail's own clock.
    """

    rail: str
    external_id: str
    ref: str
    asset: str
    amount_minor: int
    fee_minor: int | None
    direction: Direction
    state: ObservationState
    confirmations: int
    first_seen: datetime
    at: datetime
    reason: str = ""
    """Why it failed or was ``reversed``: of the latter, ``refund`` and ``dispute`` say that the payer has it back."""

    @property
    def question(self) -> str:
        """What ``lookup`` is asked to see this movement again."""
        return self.ref or self.external_id


class Cursor(Struct, frozen=True):
    """Where a rail's list of movements was read to; opaque to everybody but the rail. Empty is the beginning."""

    token: str = ""


class Hint(Struct, frozen=True, kw_only=True):
    """What an authenticated notification says to look up. ``external_id`` is its own id, stable over repeats."""

    external_id: str
    ref: str
    kind: str = ""


class RefundObservation(Struct, frozen=True, kw_only=True):
    """A refund as the source tells it. ``unknown`` is not ``failed``: ask again."""

    refund_id: UUID
    external_id: str
    state: RefundState
    amount_minor: int
    at: datetime
    reason: str = ""


class Rail(Protocol):
    """A way for money to come in. Calls block, within ``RAIL_TIMEOUT_S``.

    Each raises ``payments.errors.RailUnavailable`` when the source cannot be asked: then nothing is known.
    """

    @property
    def name(self) -> str:
        """Short name, as in events, tables and routes."""
        ...

    def open(self, cmd: OpenCharge) -> Instruction:
        """Open a charge, or give back the one opened under the same key."""
        ...

    def lookup(self, ref: str) -> list[Observation]:
        """Every movement of a charge (or the one with this external id), oldest first; none is an empty list."""
        ...

    def changes(self, cursor: Cursor) -> tuple[list[Observation], Cursor]:
        """Movements of the source, in and out, since ``cursor``, at most ``CHANGES_MAX``; and where to go on.

        The cursor moves past nothing that was not given out; a movement may be given more than once.
        """
        ...

    def hint(self, headers: Mapping[str, str], raw: bytes) -> Hint:
        """Authenticate a notification (header names in lower case) and say what to look up.

        :raises payments.errors.NotificationRefused: forged, stale or unreadable.
        """
        ...

    def refund(self, refund_id: UUID, receipt: str, amount_minor: int, destination: str) -> RefundObservation:
        """Send money of a receipt back, once per ``refund_id``; an empty destination is where it came from.

        :raises payments.errors.RefundRefused: more than was captured, or the source will not.
        """
        ...
