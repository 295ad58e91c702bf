"""The desk of the sandbox: what a payer can do on its page, and what a provider can do to a payment."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct, structs

from ledger.ports import Clock, Ids
from payments.errors import AmountOutOfRange, ChargeClosed, ChargeUnknown
from payments.limits import GROSS_MINOR_MAX
from payments.rail import Hint, ObservationState
from payments.sandbox import signing
from payments.sandbox.books import Movement, SandboxCharge, SandboxStore
from payments.sandbox.courier import Courier

LATE_BY = timedelta(minutes=1)


class DeskView(Struct, frozen=True, kw_only=True):
    """A charge as its page shows it; amounts in minor units of ``asset``."""

    ref: str
    topup_id: UUID
    asset: str
    amount_minor: int
    description: str
    expires_at: datetime
    expired: bool
    received_minor: int
    failed: bool
    movements: tuple[Movement, ...]


class SandboxDesk:
    """Moves the sandbox's money, and notifies by ``courier`` after each move."""

    def __init__(self, store: SandboxStore, clock: Clock, ids: Ids, *, secret: bytes, courier: Courier) -> None:
        assert secret, "the sandbox needs a secret"
        self._store = store
        self._clock = clock
        self._ids = ids
        self._secret = secret
        self._courier = courier

    def charge(self, ref: str) -> DeskView:
        """A charge with all that was paid to it.

        :raises ChargeUnknown: no such charge.
        """
        charge = self._charge(ref)
        movements = tuple(self._store.movements(ref))
        received = [one for one in movements if one.state == "final" and one.asset == charge.asset]
        return DeskView(
            ref=ref,
            topup_id=charge.topup_id,
            asset=charge.asset,
            amount_minor=charge.amount_minor,
            description=charge.description,
            expires_at=charge.expires_at,
            expired=charge.expires_at < self._clock.now(),
            received_minor=sum(one.amount_minor for one in received),
            failed=bool(movements) and all(one.state == "failed" for one in movements),
            movements=movements,
        )

    def pay(
        self,
        ref: str,
        amount_minor: int | None = None,
        *,
        when: datetime | None = None,
        asset: str | None = None,
        state: ObservationState = "final",
    ) -> Movement:
        """Pay what is asked, or another amount: less, more, again; ``when`` is the rail's own time of first sight.

        :raises ChargeUnknown: no such charge.
        :raises AmountOutOfRange: not positive, or beyond what a sandbox plays with.
        """
        asked = self._attempt(ref)
        at = when or asked.at
        return self._move(
            structs.replace(
                asked,
                asset=asset or asked.asset,
                amount_minor=asked.amount_minor if amount_minor is None else amount_minor,
                first_seen=at,
                at=at,
                state=state,
            )
        )

    def pay_late(self, ref: str, amount_minor: int | None = None) -> Movement:
        """Pay as if the window had closed a minute ago, or now if it has. Raises as ``pay``."""
        late = self._charge(ref).expires_at + LATE_BY
        return self.pay(ref, amount_minor, when=max(late, self._clock.now()))

    def pay_twice(self, ref: str) -> tuple[Movement, Movement]:
        """Two whole payments to one charge. Raises as ``pay``."""
        return self.pay(ref), self.pay(ref)

    def fail(self, ref: str, reason: str = "declined") -> Movement:
        """The payer's attempt fails; nothing moves. Raises as ``pay``."""
        return self._move(structs.replace(self._attempt(ref), state="failed", reason=reason))

    def pay_stray(self, asset: str, amount_minor: int) -> Movement:
        """Money that names no charge. Raises as ``pay``."""
        now = self._clock.now()
        return self._move(
            Movement(
                external_id=self._external_id(),
                ref="",
                asset=asset,
                amount_minor=amount_minor,
                first_seen=now,
                at=now,
            )
        )

    def take_back(self, external_id: str, cause: str) -> Movement:
        """The payer has the money back: by ``refund`` or ``dispute``. Raises as ``progress``."""
        return self.progress(external_id, "reversed", reason=cause)

    def progress(self, external_id: str, state: ObservationState, confirmations: int = 0, reason: str = "") -> Movement:
        """Move a payment on: from seen over confirming to final, or take it back (``reversed``) for a reason.

        :raises ChargeUnknown: no such payment.
        :raises ChargeClosed: a payment that failed stays failed.
        """
        seen = next((one for one in self._store.movements(external_id) if one.external_id == external_id), None)
        if seen is None:
            raise ChargeUnknown(ref=external_id)
        if seen.state == "failed":
            raise ChargeClosed(ref=external_id, state=seen.state)
        now = self._clock.now()
        return self._move(structs.replace(seen, state=state, confirmations=confirmations, at=now, reason=reason))

    def _charge(self, ref: str) -> SandboxCharge:
        charge = self._store.charge(ref)
        if charge is None:
            raise ChargeUnknown(ref=ref)
        return charge

    def _attempt(self, ref: str) -> Movement:
        charge, now = self._charge(ref), self._clock.now()
        return Movement(
            external_id=self._external_id(),
            ref=ref,
            asset=charge.asset,
            amount_minor=charge.amount_minor,
            first_seen=now,
            at=now,
        )

    def _external_id(self) -> str:
        return f"sbx_{self._ids.new().hex}"

    def _move(self, movement: Movement) -> Movement:
        if not 0 < movement.amount_minor <= GROSS_MINOR_MAX:
            raise AmountOutOfRange(min_minor=1, max_minor=GROSS_MINOR_MAX, currency=movement.asset)
        moved = self._store.put(movement)
        hint = Hint(
            external_id=f"sbe_{moved.external_id}_{moved.changed}",
            ref=moved.ref or moved.external_id,
            kind=f"payment.{moved.state}",
        )
        self._courier.send(signing.write(hint, self._secret, self._clock.now()))
        return moved
