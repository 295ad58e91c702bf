"""The sandbox behind the port of a rail."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from ledger.ports import Clock
from payments.errors import RefundRefused
from payments.limits import CHANGES_MAX
from payments.rail import Cursor, Hint, Instruction, Observation, OpenCharge, RefundObservation
from payments.sandbox import signing
from payments.sandbox.books import RAIL, Movement, SandboxCharge, SandboxStore


class SandboxRail:
    """See ``payments.rail.Rail``. ``secret`` signs notifications and makes references that cannot be guessed."""

    def __init__(self, store: SandboxStore, clock: Clock, *, secret: bytes, public_url: str) -> None:
        assert secret, "the sandbox needs a secret"
        self._store = store
        self._clock = clock
        self._secret = secret
        self._public_url = public_url.rstrip("/")

    @property
    def name(self) -> str:
        """See ``Rail``."""
        return RAIL

    def open(self, cmd: OpenCharge) -> Instruction:
        """See ``Rail``. The page to pay on is ``{public_url}/sandbox/{ref}``."""
        ref = "sbc_" + hmac.new(self._secret, cmd.key.encode(), sha256).hexdigest()[:32]
        charge = self._store.open(
            SandboxCharge(
                ref=ref,
                open_key=cmd.key,
                topup_id=cmd.topup_id,
                asset=cmd.asset,
                amount_minor=cmd.amount_minor,
                description=cmd.description,
                expires_at=cmd.expires_at,
            )
        )
        return Instruction(
            ref=charge.ref,
            asset=charge.asset,
            amount_minor=charge.amount_minor,
            expires_at=charge.expires_at,
            url=f"{self._public_url}/sandbox/{charge.ref}",
        )

    def lookup(self, ref: str) -> list[Observation]:
        """See ``Rail``."""
        return [movement.observed() for movement in self._store.movements(ref)]

    def changes(self, cursor: Cursor) -> tuple[list[Observation], Cursor]:
        """See ``Rail``."""
        changed = self._store.since(int(cursor.token or "0"), CHANGES_MAX)
        after = Cursor(str(changed[-1].changed)) if changed else cursor
        return [movement.observed() for movement in changed], after

    def hint(self, headers: Mapping[str, str], raw: bytes) -> Hint:
        """See ``Rail``."""
        return signing.read(signing.Notification(headers, raw), self._secret, self._clock.now())

    def refund(self, refund_id: UUID, receipt: str, amount_minor: int, destination: str) -> RefundObservation:
        """See ``Rail``. Succeeds at once, back to where the money came from."""
        captured = next((one for one in self._store.movements(receipt) if one.external_id == receipt), None)
        if captured is None or captured.state != "final" or captured.direction != "in" or destination:
            raise RefundRefused(reason="not-refundable")
        if amount_minor <= 0:
            raise RefundRefused(reason="amount-not-positive")
        now = self._clock.now()
        refund = Movement(
            external_id=f"sbr_{refund_id.hex}",
            ref="",
            asset=captured.asset,
            amount_minor=amount_minor,
            first_seen=now,
            at=now,
            direction="out",
            refund_id=refund_id,
            refund_of=receipt,
        )
        sent = self._store.put_refund(refund, captured.amount_minor)
        if sent is None or (sent.amount_minor, sent.refund_of) != (amount_minor, receipt):
            raise RefundRefused(reason="above-captured" if sent is None else "refund-id-reused")
        return RefundObservation(
            refund_id=refund_id,
            external_id=sent.external_id,
            state="succeeded",
            amount_minor=sent.amount_minor,
            at=sent.at,
        )
