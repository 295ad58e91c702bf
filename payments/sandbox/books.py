"""What the sandbox's provider knows: charges and movements, and the port to where it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from payments.rail import Direction, Observation, ObservationState

RAIL = "sandbox"


class SandboxCharge(Struct, frozen=True, kw_only=True):
    """A charge as opened; ``amount_minor`` in minor units of ``asset``."""

    ref: str
    open_key: str
    topup_id: UUID
    asset: str
    amount_minor: int
    description: str
    expires_at: datetime


class Movement(Struct, frozen=True, kw_only=True):
    """Money that moved, or failed to. ``changed`` rises with every change of any movement, in commit order."""

    external_id: str
    ref: str
    asset: str
    amount_minor: int
    first_seen: datetime
    at: datetime
    changed: int = 0
    direction: Direction = "in"
    state: ObservationState = "final"
    confirmations: int = 0
    refund_id: UUID | None = None
    refund_of: str | None = None
    reason: str = ""

    def observed(self) -> Observation:
        """As the rail tells it."""
        return Observation(
            rail=RAIL,
            external_id=self.external_id,
            ref=self.ref,
            asset=self.asset,
            amount_minor=self.amount_minor,
            fee_minor=0,
            direction=self.direction,
            state=self.state,
            confirmations=self.confirmations,
            first_seen=self.first_seen,
            at=self.at,
            reason=self.reason,
        )


class SandboxStore(Protocol):
    """Keeps the provider's books. Safe from many threads."""

    def open(self, charge: SandboxCharge) -> SandboxCharge:
        """Keep a charge, or give back the one that has its ``open_key``."""
        ...

    def charge(self, ref: str) -> SandboxCharge | None:
        """A charge by its reference."""
        ...

    def movements(self, question: str) -> Sequence[Movement]:
        """Movements of a charge, or the one with this external id; oldest first."""
        ...

    def put(self, movement: Movement) -> Movement:
        """Add a movement, or change the one with its external id; with the next ``changed``."""
        ...

    def put_refund(self, refund: Movement, captured_minor: int) -> Movement | None:
        """Add a refund once; the one there already, or None if all refunds would exceed what was captured."""
        ...

    def since(self, changed: int, limit: int) -> Sequence[Movement]:
        """Movements changed after that, in the order they changed."""
        ...
