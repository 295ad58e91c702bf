"""Refusals and failures of payments.

::

    PaymentsError               ``code``, ``facts``, ``transient``
    ├── PaymentRefusal          a rule says no; nothing was written
    │   ├── AmountOutOfRange        topup-amount-out-of-range
    │   ├── PackUnknown             pack-unknown
    │   ├── RailUnknown             rail-unknown
    │   ├── TopUpUnknown            topup-unknown
    │   ├── TooManyOpenTopUps       too-many-open-topups        (transient)
    │   ├── KeyReused               idempotency-key-conflict
    │   ├── LedgerRefused           the ledger's code
    │   ├── NotificationRefused     notification-refused
    │   ├── RefundRefused           refund-refused
    │   ├── ChargeUnknown           charge-unknown              (sandbox desk)
    │   └── ChargeClosed            charge-closed               (sandbox desk)
    ├── RailUnavailable         rail-unavailable            (transient) the source cannot be asked: nothing is known
    ├── SettlementPostponed     settlement-postponed        (transient) nothing was written for now
    └── SandboxBesideLiveKeys   sandbox-beside-live-keys    a configuration that is refused
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Fact = str | int | bool | None


class PaymentsError(Exception):
    """Something that payments will not or cannot do. ``transient``: the same may succeed later."""

    code: ClassVar[str] = "payments-error"
    transient: ClassVar[bool] = False

    def __init__(self, **facts: Fact) -> None:
        super().__init__(self.code)
        self.facts: Mapping[str, Fact] = facts

    def __str__(self) -> str:
        """Code and facts on one line."""
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.code} ({facts})" if facts else self.code


class PaymentRefusal(PaymentsError):
    """A rule says no; nothing was written."""


class AmountOutOfRange(PaymentRefusal):
    """Facts: ``min_minor``, ``max_minor``, ``currency``."""

    code = "topup-amount-out-of-range"


class PackUnknown(PaymentRefusal):
    """Facts: ``pack``."""

    code = "pack-unknown"


class RailUnknown(PaymentRefusal):
    """No such rail here, or it is switched off. Facts: ``rail``."""

    code = "rail-unknown"


class TopUpUnknown(PaymentRefusal):
    """No such top-up in this organisation."""

    code = "topup-unknown"


class TooManyOpenTopUps(PaymentRefusal):
    """The account holds as many quotes as it may. Facts: ``open_topups``, ``max_open_topups``."""

    code = "too-many-open-topups"
    transient = True


class KeyReused(PaymentRefusal):
    """The idempotency key was used with another body. Facts: ``field``."""

    code = "idempotency-key-conflict"


class LedgerRefused(PaymentRefusal):
    """The ledger said no. Facts: its own; ``ledger_code`` is its code."""

    code = "ledger-refused"


class NotificationRefused(PaymentRefusal):
    """Forged, stale or unreadable. Facts: ``reason``, a code."""

    code = "notification-refused"


class RefundRefused(PaymentRefusal):
    """Facts: ``reason``, a code, and the figures behind it."""

    code = "refund-refused"


class ChargeUnknown(PaymentRefusal):
    """The sandbox has no such charge. Facts: ``ref``."""

    code = "charge-unknown"


class ChargeClosed(PaymentRefusal):
    """The sandbox's charge can no longer do that. Facts: ``ref``, ``state``."""

    code = "charge-closed"


class RailUnavailable(PaymentsError):
    """The source cannot be asked, so nothing is known. Facts: ``rail``, ``reason``."""

    code = "rail-unavailable"
    transient = True


class SettlementPostponed(PaymentsError):
    """The append could not be decided for now; nothing was written. Facts: ``reason``, a code."""

    code = "settlement-postponed"
    transient = True


class SandboxBesideLiveKeys(PaymentsError):
    """The sandbox rail is enabled where real money moves. Facts: ``setting``, the name of a live key."""

    code = "sandbox-beside-live-keys"
