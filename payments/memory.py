"""The sandbox's books in memory: a rail without a database, for tests, the simulator and small tools."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from msgspec import structs

from payments.sandbox.books import Movement, SandboxCharge


class MemoryStore:
    """See ``payments.sandbox.books.SandboxStore``; a ``SandboxRail`` on it is the rail's twin."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._charges: dict[str, SandboxCharge] = {}
        self._movements: dict[str, Movement] = {}
        self._changed = 0

    def open(self, charge: SandboxCharge) -> SandboxCharge:
        """See ``SandboxStore``."""
        with self._lock:
            seen = next((one for one in self._charges.values() if one.open_key == charge.open_key), None)
            return seen or self._charges.setdefault(charge.ref, charge)

    def charge(self, ref: str) -> SandboxCharge | None:
        """See ``SandboxStore``."""
        return self._charges.get(ref)

    def movements(self, question: str) -> Sequence[Movement]:
        """See ``SandboxStore``."""
        with self._lock:
            found = [one for one in self._movements.values() if question in (one.ref, one.external_id)]
        return sorted(found, key=lambda one: (one.first_seen, one.changed))

    def put(self, movement: Movement) -> Movement:
        """See ``SandboxStore``."""
        with self._lock:
            return self._put(movement)

    def put_refund(self, refund: Movement, captured_minor: int) -> Movement | None:
        """See ``SandboxStore``."""
        with self._lock:
            known = self._movements.values()
            if seen := next((one for one in known if one.refund_id == refund.refund_id), None):
                return seen
            refunds = [one for one in known if one.refund_of == refund.refund_of and one.state != "failed"]
            if sum(one.amount_minor for one in refunds) + refund.amount_minor > captured_minor:
                return None
            return self._put(refund)

    def since(self, changed: int, limit: int) -> Sequence[Movement]:
        """See ``SandboxStore``."""
        with self._lock:
            found = [one for one in self._movements.values() if one.changed > changed]
        return sorted(found, key=lambda one: one.changed)[:limit]

    def _put(self, movement: Movement) -> Movement:
        self._changed += 1
        kept = structs.replace(movement, changed=self._changed)
        self._movements[kept.external_id] = kept
        return kept
