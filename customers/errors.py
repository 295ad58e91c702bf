"""Refusals of customers.

::

    CustomersError              ``code``, ``facts``, ``transient``
    ├── InvalidField            invalid-field               facts: ``field``, ``expected``
    ├── KeyRejected             unauthenticated             facts: ``reason``, for logs, never for the caller
    ├── ScopeMissing            scope-missing               facts: ``scope``
    ├── KeyUnknown              key-unknown
    ├── KeyEnded                key-ended                   facts: ``standing``
    ├── KeyRotated              key-rotated                 facts: ``replaced_by``
    ├── TooManyKeys             too-many-keys               facts: ``keys_max``
    ├── OrganisationUnknown     organisation-unknown
    ├── SignUpConflict          idempotency-key-conflict    facts: ``field``
    └── AccountRefused          the ledger's code           an account that cannot be opened
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Fact = str | int | bool | None


class CustomersError(Exception):
    """Something that customers refuse. ``facts`` are the figures behind it; ``transient``: it may succeed later."""

    code: str = "customers-error"
    transient: ClassVar[bool] = False

    def __init__(self, **facts: Fact) -> None:
        super().__init__(self.code)
        self.facts: Mapping[str, Fact] = facts

    def __str__(self) -> str:
        """Code and facts on one line."""
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.code} ({facts})" if facts else self.code


class InvalidField(CustomersError):
    """A value outside its bounds. Facts: ``field``, ``expected``."""

    code = "invalid-field"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field=field, expected=expected)
        self.field = field
        self.expected = expected


class KeyRejected(CustomersError):
    """No key that is good here. Facts: ``reason`` (malformed, other-mode, unknown, expired, revoked)."""

    code = "unauthenticated"


class ScopeMissing(CustomersError):
    """The key may not do this. Facts: ``scope``, the one that it lacks."""

    code = "scope-missing"


class KeyUnknown(CustomersError):
    """No such key in this organisation."""

    code = "key-unknown"


class KeyEnded(CustomersError):
    """A key that is revoked or expired cannot be rotated. Facts: ``standing``."""

    code = "key-ended"


class KeyRotated(CustomersError):
    """The key has a successor already. Facts: ``replaced_by``."""

    code = "key-rotated"


class TooManyKeys(CustomersError):
    """The organisation has as many good keys as it may. Facts: ``keys_max``."""

    code = "too-many-keys"


class OrganisationUnknown(CustomersError):
    """No such organisation."""

    code = "organisation-unknown"


class SignUpConflict(CustomersError):
    """The sign-up's key was used with another body. Facts: ``field``."""

    code = "idempotency-key-conflict"


class AccountRefused(CustomersError):
    """The ledger did not open the account. ``code`` and facts are the ledger's."""

    def __init__(self, code: str, facts: Mapping[str, Fact]) -> None:
        self.code = code
        super().__init__(**facts)
