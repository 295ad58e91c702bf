"""Routes of the ledger: one for each kind of thing that can be asked, and one for a thousand of them."""

from __future__ import annotations

from typing import Any

from litestar import post, put
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.auth import count_more
from api.call import Call
from api.errors import NotFound
from api.ledger.answers import BatchOut, DoneOut, SetOut, many, single
from api.ledger.asked import NOBODY, Asked, target_of
from api.ledger.batches import BatchIn, asked
from api.ledger.batches import count as count_of
from api.ledger.desk import desk_of
from api.ledger.kinds import KINDS, WRITE, Kind
from api.operations import IDEMPOTENCY_KEY, REPLAYED, Answer, Operation, Parameter

TAG = "Ledger"
BODY_PROBLEMS = ("malformed-body", "unsupported-media-type", "body-too-large", "invalid-request")
ON_ACCOUNT = ("account-unknown", "version-conflict", "too-many-refusals", "upgrade-needed", "clock-skew")
_BATCH = Operation(
    operation_id="doBatch",
    summary="Do up to 1,000 operations",
    description=(
        "Each operation is done on its own, in order, with an idempotency key and an outcome of its own; the key of "
        "an operation is the one that its own address would take. An operation that the ledger refuses hinders no "
        "other; one that is malformed refuses the whole batch before anything is done. Each needs its own scope."
    ),
    tag=TAG,
    scope=WRITE,
    answers=(Answer(status=200, description="Outcomes, in the order of the operations.", kind=BatchOut),),
    body=BatchIn,
    example={
        "operations": [
            {"op": "hold", "idempotency_key": "order-17", "amount": "2.5", "lease_s": 60},
            {"op": "debit", "idempotency_key": "call-81", "amount": "0.002", "reason": "api-call"},
        ]
    },
    problems=(*BODY_PROBLEMS, "outcome-unknown", "not-done"),
    quota="ledger",
    direct=True,
)


def operation_of(kind: Kind) -> Operation:
    """What the document says of a kind."""
    out = DoneOut if kind.batched else SetOut
    return Operation(
        operation_id="".join(word if not index else word.capitalize() for index, word in enumerate(_words(kind))),
        summary=kind.summary,
        description=kind.body.__doc__ or "",
        tag=TAG,
        scope=kind.scope,
        answers=(Answer(status=kind.status, description="Done.", kind=out, headers=REPLAYED),),
        body=kind.body,
        example=kind.example,
        parameters=(*_path(kind), IDEMPOTENCY_KEY),
        problems=(*BODY_PROBLEMS, "idempotency-key-missing", *ON_ACCOUNT, *kind.refusals),
        quota="ledger",
        direct=kind.method == "POST",
    )


def route_of(kind: Kind) -> HTTPRouteHandler:
    """The route of a kind."""
    method = put if kind.method == "PUT" else post

    @method(f"/ledger{kind.path}", opt=operation_of(kind).options(), status_code=kind.status, name=kind.name)
    async def handler(request: Call) -> ASGIApp:
        key, body = request.idempotency_key(), await request.read(kind.body)
        target = _target(request, kind) if kind.target else NOBODY
        (outcome,) = await desk_of(request).do(request.principal, [Asked(kind, body, key, target)])
        return single(request, outcome)

    return handler


@post("/ledger/batch", opt=_BATCH.options(), status_code=200)
async def batch(request: Call) -> ASGIApp:
    """Many things at once."""
    wanted = asked(await request.read(BatchIn))
    await count_more(request.services.limiter, request.principal, count_of(wanted) - 1)
    return many(request, await desk_of(request).do(request.principal, wanted))


def _target(request: Call, kind: Kind) -> Any:
    try:
        return target_of(kind, request.path_params[kind.target])
    except ValueError:
        raise NotFound from None


def _words(kind: Kind) -> list[str]:
    words = kind.name.split("-")
    return words if len(words) > 1 else [*words, "credits"]


def _path(kind: Kind) -> tuple[Parameter, ...]:
    if not kind.target:
        return ()
    pattern = f"^({'|'.join(kind.target_kinds)})_[0-9a-f]{{32}}$"
    what = f"The {kind.target.removesuffix('_id')}."
    schema = {"type": "string", "pattern": pattern}
    return (Parameter(name=kind.target, where="path", description=what, schema=schema, required=True),)


ROUTES = (*(route_of(kind) for kind in KINDS), batch)
