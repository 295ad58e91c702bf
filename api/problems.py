"""From whatever went wrong to an RFC 9457 problem: one table, and the answer made of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_401_UNAUTHORIZED, HTTP_402_PAYMENT_REQUIRED, HTTP_500_INTERNAL_SERVER_ERROR
from msgspec import Struct

from api import errors
from api.identity import name_request
from api.limits import RETRY_AFTER_BUSY_S
from api.problem_types import PROBLEM_TYPES, QUOTA_TYPE
from customers.errors import CustomersError, InvalidField, KeyRejected, ScopeMissing
from ledger.amounts import format_credits
from ledger.errors import InvalidRequest, LedgerError, NotDone, OutcomeUnknown, Refusal
from ledger.ids import render
from ledger.ports import Ids
from payments.errors import LedgerRefused, PaymentsError
from workers.errors import InvalidInputs, OrderRefused, StoreUnavailable, WorkersError

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_GONE = "client disconnected prematurely"
"""What litestar raises where the client leaves before its body has come."""

CHALLENGE = 'Bearer realm="tallystick"'


class Found(Struct, frozen=True, kw_only=True):
    """A problem before it is written: its code, a sentence, members beside the standard ones, headers."""

    code: str
    detail: str = ""
    members: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}


def find(error: Exception) -> Found:
    """What to answer for an error; one that nobody foresaw is a fault of ours."""
    for kind, rule in _TABLE:
        if isinstance(error, kind):
            found = rule(error)
            return found if found.code in PROBLEM_TYPES else Found(code="refused", members={"reason": found.code})
    return Found(code="internal-error")


def _own(error: errors.ApiError) -> Found:
    return Found(code=error.code, detail=error.detail, members=error.members, headers=error.headers)


def _http(error: HTTPException) -> Found:
    if error.detail == _GONE:
        return Found(code="bad-request")  # nobody is left to read it, and nothing is wrong here
    code = _BY_STATUS.get(
        error.status_code, "internal-error" if error.status_code >= HTTP_500_INTERNAL_SERVER_ERROR else "bad-request"
    )
    sent = {name.lower(): value for name, value in (error.headers or {}).items()}
    return Found(code=code, headers={"Allow": sent["allow"]} if "allow" in sent else {})


def _rejected(_: KeyRejected) -> Found:
    return Found(code="unauthenticated", headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'})


def _scope(error: ScopeMissing) -> Found:
    return scope_missing(str(error.facts["scope"]))


def scope_missing(scope: str) -> Found:
    """The key may not do this, for lack of a scope."""
    challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    return Found(
        code="scope-missing",
        detail=f"the key lacks the scope {scope}",
        members={"scope": scope},
        headers={"WWW-Authenticate": challenge},
    )


def _field(error: InvalidField) -> Found:
    return _own(errors.Invalid([errors.Fault(detail=f"expected {error.expected}", pointer=f"/{error.field}")]))


def _invalid_request(error: InvalidRequest) -> Found:
    return _own(errors.Invalid([errors.Fault(detail=error.detail, pointer=f"/{error.field}")]))


def _inputs(error: InvalidInputs) -> Found:
    return _own(errors.Invalid([errors.Fault(detail=one.detail, pointer=one.pointer) for one in error.problems]))


def _coded(error: CustomersError | WorkersError) -> Found:
    """Errors whose facts may be shown as they are."""
    if error.code.endswith("-unknown") or error.code == "link-invalid":
        return Found(code="not-found")
    return refusal(error.code, getattr(error, "facts", {}))


def _payments(error: PaymentsError) -> Found:
    if isinstance(error, LedgerRefused):
        return refusal(str(error.facts.get("ledger_code")), {}, again=error.transient)
    if error.code.endswith("-unknown"):
        return Found(code="not-found")
    return refusal(error.code, error.facts, again=error.transient)


def _order(error: OrderRefused) -> Found:
    return refusal(error.code, error.facts, again=error.try_again, replayed=error.replayed)


def refusal(code: str, facts: Mapping[str, Any], *, again: bool = False, replayed: bool = False) -> Found:
    """A verdict that says no. Amounts among its facts become decimal credits; ``field`` becomes a pointer."""
    members = dict(_member(name, value) for name, value in facts.items())
    field = members.pop("field", None)
    if field is not None:
        detail = "the Idempotency-Key was used with another value"
        members["errors"] = [errors.Fault(detail=detail, pointer=f"/{field}")]
    if code == "insufficient-credits":
        members["limit_source"] = "balance"
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    if again and code not in PROBLEM_TYPES:
        code = "not-done"
    return Found(code=code, members=members, headers=headers)


def _member(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_ucr"):
        return name.removesuffix("_ucr"), format_credits(value)
    if name in _IDS and isinstance(value, str):
        return name, render(_IDS[name], UUID(value))
    return name, value


_IDS = {
    "account_id": "acc",
    "to_account_id": "acc",
    "hold_id": "hold",
    "grant_id": "grant",
    "debit_id": "debit",
    "budget_id": "budget",
}
"""Facts that are ids, and what kind of id."""


_BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}
_TABLE: tuple[tuple[type[Exception], Callable[[Any], Found]], ...] = (
    (errors.ApiError, _own),
    (HTTPException, _http),
    (KeyRejected, _rejected),
    (ScopeMissing, _scope),
    (InvalidField, _field),
    (CustomersError, _coded),
    (PaymentsError, _payments),
    (InvalidInputs, _inputs),
    (OrderRefused, _order),
    (StoreUnavailable, lambda _: Found(code="not-ready")),
    (WorkersError, _coded),
    (InvalidRequest, _invalid_request),
    (NotDone, lambda _: Found(code="not-done")),
    (OutcomeUnknown, lambda _: Found(code="outcome-unknown")),
    (Refusal, lambda error: refusal(error.code, error.facts, again=error.transient)),
    (LedgerError, lambda _: Found(code="outcome-unknown")),
    (psycopg.OperationalError, lambda _: Found(code="not-ready")),
)


class Problems:
    """Writes problems for one installation, whose public address their types begin with."""

    def __init__(self, ids: Ids, *, public_url: str, top_up_url: str) -> None:
        self._ids = ids
        self._public_url = public_url
        self._top_up_url = top_up_url

    def answer(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The exception handler of the whole application."""
        found = find(error)
        named = name_request(request.scope, self._ids)
        if PROBLEM_TYPES[found.code].status == HTTP_500_INTERNAL_SERVER_ERROR:
            _log.error("request %s failed with a fault of ours", named, exc_info=error)
        return self.respond(found, f"urn:request:{named}")

    def respond(self, found: Found, instance: str) -> Response[bytes]:
        """The answer that is a problem. ``instance`` is what happened, as a URI."""
        kind = PROBLEM_TYPES[found.code]
        headers = {"Cache-Control": "no-store", **found.headers}
        if kind.again:
            headers.setdefault("Retry-After", str(RETRY_AFTER_BUSY_S))
        if kind.status == HTTP_401_UNAUTHORIZED:
            headers.setdefault("WWW-Authenticate", CHALLENGE)
        body = msgspec.json.encode(self.document(found, instance))
        return Response(body, status_code=kind.status, headers=headers, media_type=MEDIA_TYPE)

    def document(self, found: Found, instance: str) -> dict[str, Any]:
        """The problem's members."""
        kind = PROBLEM_TYPES[found.code]
        document: dict[str, Any] = {
            "type": QUOTA_TYPE if kind.code == "quota-exceeded" else f"{self._public_url}/problems/{kind.code}",
            "title": kind.title,
            "status": kind.status,
            "code": kind.code,
            "detail": found.detail or kind.advice,
            "instance": instance,
            "transient": kind.again,
            **found.members,
        }
        if kind.status == HTTP_402_PAYMENT_REQUIRED:
            document["top_up_url"] = self._top_up_url
        return document
