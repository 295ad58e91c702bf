"""Outcomes as answers: rendered from the verdict alone, so that a repeat is answered with the same bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from api.call import Call
from api.idempotency import REPLAYED
from api.ledger.asked import Asked, Group, derived
from api.ledger.desk import Outcome
from api.problems import Found, refusal
from api.views.common import Credits
from ledger.amounts import format_credits
from ledger.domain.verdicts import Done, Refused
from ledger.ids import render
from ledger.writer.keys import key_hash

_encode = msgspec.json.Encoder().encode
_FIRST = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_REPLAYED = [*_FIRST, (REPLAYED.lower().encode(), b"true")]


class DoneOut(Struct, frozen=True, kw_only=True):
    """Done. ``subject_id`` is what was made or named; sums are the account's right after it, at ``log_position``.

    Of linked operations it is the group's, each one's stands in ``subject_ids``, and the account is that of the first.
    """

    subject_id: str
    account_id: str
    account_version: int
    log_position: int
    posted: Credits
    held: Credits
    frozen: Credits
    available: Credits
    recorded_at: datetime
    subject_ids: list[str] | UnsetType = UNSET


class SetOut(Struct, frozen=True, kw_only=True):
    """Done, and no account has changed."""

    subject_id: str
    log_position: int
    recorded_at: datetime


class ResultOut(Struct, frozen=True, kw_only=True):
    """Outcome of one operation: the ``status`` that it would have had alone, with a ``result`` or a ``problem``."""

    status: int
    replayed: bool
    result: DoneOut | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class BatchOut(Struct, frozen=True, kw_only=True):
    """Outcomes in the order of the operations."""

    results: list[ResultOut]


def single(call: Call, outcome: Outcome) -> ASGIApp:
    """The answer to one thing that was asked."""
    assert isinstance(outcome.asked, Asked)
    found, answer, kind = outcome.problem, outcome.answer, outcome.asked.kind
    if answer is not None:
        if isinstance(answer.verdict, Done):
            out = _done(outcome, answer.verdict) if kind.batched else set_out(kind.subject, answer.verdict)
            return done(out, kind.status, replayed=answer.replayed)
        found = refused(answer.verdict, replayed=answer.replayed)
    assert found is not None
    return problem_of(call, found, _instance(call, outcome))


def problem_of(call: Call, found: Found, instance: str) -> ASGIApp:
    """An answer that is a problem."""
    answer: Any = call.problems.respond(found, instance)
    return answer.to_asgi_response(None, call)


def many(call: Call, outcomes: list[Outcome]) -> ASGIApp:
    """The answer to a batch."""
    return done(BatchOut(results=[_one(call, outcome) for outcome in outcomes]), 200)


class Written:
    """An answer that only has to be sent. Litestar's own would be built twice, which here is a tenth of everything."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._status = status
        self._headers = headers
        self._body = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """See ASGI."""
        headers = [*self._headers, (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def done(value: Any, status: int, *, replayed: bool = False) -> ASGIApp:
    """An answer that is no problem."""
    return Written(status, _REPLAYED if replayed else _FIRST, _encode(value))


def set_out(prefix: str, verdict: Done) -> SetOut:
    """What was done, where no account changed."""
    assert verdict.subject_id is not None
    return SetOut(
        subject_id=render(prefix, verdict.subject_id), log_position=verdict.position, recorded_at=verdict.recorded_at
    )


def done_out(prefix: str, account_id: UUID, verdict: Done) -> DoneOut:
    """What was done to an account."""
    assert verdict.subject_id is not None
    return DoneOut(
        subject_id=render(prefix, verdict.subject_id),
        account_id=render("acc", account_id),
        account_version=verdict.account_version,
        log_position=verdict.position,
        posted=format_credits(verdict.posted_ucr),
        held=format_credits(verdict.held_ucr),
        frozen=format_credits(verdict.frozen_ucr),
        available=format_credits(verdict.available_ucr),
        recorded_at=verdict.recorded_at,
    )


def refused(verdict: Refused, *, replayed: bool) -> Found:
    """A verdict that says no."""
    return refusal(verdict.code, verdict.facts, again=verdict.transient, replayed=replayed)


def verdict_name(scope_id: UUID, operation: str, key: str) -> str:
    """A verdict as a URI: what happened, which a repeat finds again."""
    return f"urn:verdict:{key_hash(scope_id, operation, key).hex()}"


def _instance(call: Call, outcome: Outcome) -> str:
    request = outcome.request
    if request is None or request.scope_id is None:
        return call.instance
    return verdict_name(request.scope_id, request.operation, request.key)


def _done(outcome: Outcome, verdict: Done) -> DoneOut:
    asked, request = outcome.asked, outcome.request
    assert request is not None and request.scope_id is not None
    if isinstance(asked, Group):
        return _group_done(asked, request.scope_id, verdict)
    opened = verdict.subject_id if asked.kind.name == "open-account" else None
    return done_out(asked.kind.subject, opened or request.scope_id, verdict)


def _group_done(group: Group, account_id: UUID, verdict: Done) -> DoneOut:
    assert verdict.subject_id is not None
    subjects = [
        render(part.kind.subject, derived(verdict.subject_id, index) if part.kind.mints else part.target)
        for index, part in enumerate(group.parts)
    ]
    return replace(done_out("link", account_id, verdict), subject_ids=subjects)


def _one(call: Call, outcome: Outcome) -> ResultOut:
    found, answer = outcome.problem, outcome.answer
    replayed = answer is not None and answer.replayed
    if answer is not None:
        if isinstance(answer.verdict, Done):
            status = HTTP_200_OK if isinstance(outcome.asked, Group) else outcome.asked.kind.status
            return ResultOut(status=status, replayed=replayed, result=_done(outcome, answer.verdict))
        found = refused(answer.verdict, replayed=replayed)
    assert found is not None
    problem = call.problems.document(found, _instance(call, outcome))
    return ResultOut(status=problem["status"], replayed=replayed, problem=problem)
