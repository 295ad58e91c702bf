"""Signs the head of the log and keeps it outside the database, again and again; what does not go on is never signed."""

from __future__ import annotations

import logging

from ledger.drivers import Driver
from ledger.ports import Clock
from ledger.proof.errors import LogDiffers, ProofError
from ledger.proof.forks import admitted, read_forks
from ledger.proof.heads import SignedHead, Signer
from ledger.proof.ports import HeadTarget
from ledger.proof.taking import at, keep_head, take_head

EVERY_S = 60.0
GAP_MAX_S = 2 * EVERY_S
"""Heads further apart than this are an alarm: in between, a tail could be cut without anybody's knowing."""

_log = logging.getLogger(__name__)


class HeadExporter:
    """Takes, signs and keeps heads. One that several processes run keeps more heads than one, and no worse."""

    def __init__(self, driver: Driver, target: HeadTarget, signer: Signer, clock: Clock) -> None:
        self._driver = driver
        self._target = target
        self._signer = signer
        self._clock = clock
        self._last: SignedHead | None = None

    def export(self) -> SignedHead:
        """Keep the head as it is now.

        :raises LogDiffers: the log does not go on from the head kept last: a tail was lost, or somebody changed it.
        :raises NotCovered, VaultUnavailable: not now.
        """
        before = self._target.last()
        self._tell_gap(before)
        try:
            head = self._driver.drive(take_head(self._clock.now(), before.head if before else None))
        except LogDiffers:
            if before is None or not admitted(self._driver.drive(read_forks()), before.head):
                raise
            head = self._driver.drive(take_head(self._clock.now(), None))
        signed = self._signer.sign(head)
        self._target.append(signed)
        self._driver.drive(keep_head(signed))
        self._last = signed
        return signed

    def export_or_tell(self) -> None:
        """The same as a chore that does not fail: what hinders it is an alarm in the log, and the age goes on."""
        try:
            self.export()
        except LogDiffers as error:
            _log.critical("no head is signed: %s", error)
        except ProofError as error:
            _log.error("no head is kept: %s", error)

    def age_s(self) -> float | None:
        """Seconds since the head that this process kept last; None before the first."""
        if self._last is None:
            return None
        return (self._clock.now() - at(self._last.head.signed_at_us)).total_seconds()

    def _tell_gap(self, before: SignedHead | None) -> None:
        if before is None:
            return
        gap_s = (self._clock.now() - at(before.head.signed_at_us)).total_seconds()
        if gap_s > GAP_MAX_S:
            _log.error("no head was kept for %.0f s, since size %d", gap_s, before.head.size)
