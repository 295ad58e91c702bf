"""What the ledger answers, and keeps for ever beside the key that asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, msgpack

from ledger.errors import Refusal


class Done(Struct, frozen=True, kw_only=True, array_like=True, tag="done.v1", gc=False):
    """Accepted. Sums are the account's right after it (zero where no account was named).

    ``subject_id`` is what the request was about (the hold, the job …), as sent the first time.
    """

    position: int
    account_version: int
    posted_ucr: int
    held_ucr: int
    frozen_ucr: int
    recorded_at: datetime
    subject_id: UUID | None = None

    @property
    def available_ucr(self) -> int:
        """Credits that can be spent, in micro-credits."""
        return self.posted_ucr - self.held_ucr - self.frozen_ucr


class Refused(Struct, frozen=True, kw_only=True, array_like=True, tag="refused.v1", gc=False):
    """Refused: a stable ``code``, the figures behind it, and whether the same may succeed later."""

    code: str
    facts: dict[str, Any]
    transient: bool
    recorded_at: datetime
    subject_id: UUID | None = None


Verdict = Done | Refused


class Answer(Struct, frozen=True, gc=False):
    """A verdict, and whether it had been given before."""

    verdict: Verdict
    replayed: bool = False


_decoder = msgpack.Decoder(Verdict)
encode_verdict = msgpack.Encoder(uuid_format="bytes").encode


def decode_verdict(raw: bytes) -> Verdict:
    """Read a stored verdict."""
    return _decoder.decode(raw)


def refused(refusal: Refusal, recorded_at: datetime, subject_id: UUID | None) -> Refused:
    """Turn a typed refusal into a verdict."""
    return Refused(
        code=refusal.code,
        facts=dict(refusal.facts),
        transient=refusal.transient,
        recorded_at=recorded_at,
        subject_id=subject_id,
    )
