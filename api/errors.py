"""What the HTTP side itself refuses. What lies behind it raises its own errors; ``api.problems`` maps them all.

::

    ApiError                    ``code``, ``detail``, members of the problem, headers
    ├── Unauthenticated         unauthenticated             401
    ├── Forbidden               scope-missing               403  names the scope
    ├── NotFound                not-found                   404
    ├── MalformedBody           malformed-body              400  not JSON
    ├── WrongMediaType          unsupported-media-type      415
    ├── Invalid                 invalid-request             422  ``errors: [{detail, pointer | parameter | header}]``
    ├── KeyMissing              idempotency-key-missing     400
    ├── KeyMalformed            idempotency-key-invalid     400
    ├── QuotaExceeded           quota-exceeded              429
    ├── Overloaded              overloaded                  503  more calls wait than may
    ├── TooManyStreams          too-many-streams            429
    └── NotReady                not-ready                   503
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with a request: where it is, and what was expected. Never echoes a value."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class ApiError(Exception):
    """A refusal of the HTTP side. ``members`` stand beside the standard ones in the problem."""

    code: ClassVar[str] = "internal-error"

    def __init__(
        self, detail: str = "", *, members: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members: Mapping[str, Any] = members or {}
        self.headers: Mapping[str, str] = headers or {}


class Unauthenticated(ApiError):
    """No key, or none that is good here; which of it is not said."""

    code = "unauthenticated"


class Forbidden(ApiError):
    """The key lacks a scope."""

    code = "scope-missing"


class NotFound(ApiError):
    """Nothing is there, or nothing that this caller may know of."""

    code = "not-found"


class MalformedBody(ApiError):
    """The body is not JSON."""

    code = "malformed-body"


class WrongMediaType(ApiError):
    """The body is not said to be JSON."""

    code = "unsupported-media-type"


class Invalid(ApiError):
    """Well-formed, but outside what is accepted."""

    code = "invalid-request"

    def __init__(self, faults: Sequence[Fault]) -> None:
        assert faults
        super().__init__("; ".join(fault.detail for fault in faults), members={"errors": [*faults]})
        self.faults = tuple(faults)


class KeyMissing(ApiError):
    """The route needs an Idempotency-Key."""

    code = "idempotency-key-missing"


class KeyMalformed(ApiError):
    """The Idempotency-Key is not one."""

    code = "idempotency-key-invalid"


class QuotaExceeded(ApiError):
    """Too many requests in the window."""

    code = "quota-exceeded"


class Overloaded(ApiError):
    """More calls wait than may."""

    code = "overloaded"


class TooManyStreams(ApiError):
    """More live streams are open than may."""

    code = "too-many-streams"


class NotReady(ApiError):
    """A part that is needed does not answer."""

    code = "not-ready"
