"""What accounts of the organisation have, what is pinned of it, and how they came to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

from litestar import Response, get
from msgspec import Struct

from api.call import Call, answer, answer_page
from api.errors import Fault, Invalid
from api.ledger.desk import desk_of
from api.ledger.routes import TAG
from api.limits import HOLDS_MAX, PAGE_DEFAULT, PAGE_MAX
from api.operations import Answer, Operation, Parameter, paging, path_id
from api.reading import read_number, read_position, read_time
from api.views.balance import BalanceOut, HoldOut, LineOut, balance_out, hold_out, line_out
from api.views.common import Credits, PageOut
from ledger.amounts import format_credits
from ledger.errors import AccountUnknown, InvalidRequest
from ledger.ids import render
from ledger.ports import PostedEffective

READ = "ledger:read"
ACCOUNT_ID = path_id("account_id", "acc", "An account of the organisation.")
T = TypeVar("T")
_POSITION, _TIME, _EFFECTIVE = "as_of_position", "as_of", "effective_at"
_RFC_3339 = {"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]}
_AS_OF = (
    Parameter(
        name=_POSITION,
        where="query",
        description="As the account was at this position of the log.",
        schema={"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    ),
    Parameter(name=_TIME, where="query", description="As it was recorded at this time.", schema=_RFC_3339),
)


class EffectiveOut(Struct, frozen=True, kw_only=True):
    """What is posted by the dates that events are meant for, by all events up to ``log_position``."""

    account_id: str
    posted: Credits
    effective_at: datetime
    log_position: int


_BALANCE = Operation(
    operation_id="getAccountBalance",
    summary="What an account has or had",
    description=(
        "Posted, held, frozen and available credits, and the grants they lie in, at one position of the log: now, at "
        "a position or at a time. With `effective_at` instead: what is posted by the dates that events are meant for, "
        "by all that is recorded now. At most one of the three is sent."
    ),
    tag=TAG,
    scope=READ,
    answers=(Answer(status=200, description="The account.", kind=BalanceOut, or_kind=EffectiveOut),),
    parameters=(
        ACCOUNT_ID,
        *_AS_OF,
        Parameter(name=_EFFECTIVE, where="query", description="By the dates that are meant.", schema=_RFC_3339),
    ),
    problems=("account-unknown", "invalid-request", "upgrade-needed"),
    quota="ledger",
)
_HOLDS = Operation(
    operation_id="listAccountHolds",
    summary="Open holds of an account",
    description="Those that are open, or were at a position or a time.",
    tag=TAG,
    scope=READ,
    answers=(Answer(status=200, description="Open holds, newest first.", kind=PageOut[HoldOut]),),
    parameters=(
        ACCOUNT_ID,
        *_AS_OF,
        Parameter(
            name="limit",
            where="query",
            description="Most entries of the answer.",
            schema={"type": "integer", "minimum": 1, "maximum": HOLDS_MAX, "default": PAGE_DEFAULT},
        ),
    ),
    problems=("account-unknown", "invalid-request", "upgrade-needed"),
    quota="ledger",
)
_STATEMENT = Operation(
    operation_id="listAccountLines",
    summary="Statement of an account",
    description="One line for each event that moves something, newest first. Up to a second behind the balance.",
    tag=TAG,
    scope=READ,
    answers=(
        Answer(
            status=200,
            description="Lines, newest first.",
            kind=PageOut[LineOut],
            headers={"Link": 'The next page, as `rel="next"`.'},
        ),
    ),
    parameters=(ACCOUNT_ID, *paging(PAGE_MAX, PAGE_DEFAULT)),
    problems=("account-unknown", "invalid-request"),
    quota="ledger",
)


@get("/ledger/accounts/{account_id:str}/balance", opt=_BALANCE.options())
async def balance(request: Call) -> Response[bytes]:
    """One account, now or then."""
    point = read_point(request.query, (_POSITION, _TIME, _EFFECTIVE))
    account_id, ledger = await _account(request), request.services.ledger
    if point is None:
        found = await request.cross(ledger.balance, account_id)
    elif point.name == _EFFECTIVE:
        assert point.time is not None
        posted = await request.cross(ledger.posted_effective, account_id, point.time)
        return answer(_effective(_there(posted)))
    else:
        found = await _asked(request, point, ledger.balance_at, account_id)
    return answer(balance_out(_there(found)))


@get("/ledger/accounts/{account_id:str}/holds", opt=_HOLDS.options())
async def holds(request: Call) -> Response[bytes]:
    """Its open holds, now or then."""
    limit = read_number(request.query, "limit", PAGE_DEFAULT, HOLDS_MAX)
    point = read_point(request.query, (_POSITION, _TIME))
    account_id, ledger = await _account(request), request.services.ledger
    if point is None:
        found = await request.cross(ledger.open_holds, account_id, limit=limit + 1)
    else:
        found = await _asked(request, point, partial(ledger.open_holds_at, limit=limit + 1), account_id)
    return answer(PageOut(data=[hold_out(hold) for hold in found[:limit]], has_more=len(found) > limit))


@get("/ledger/accounts/{account_id:str}/statement", opt=_STATEMENT.options())
async def statement(request: Call) -> Response[bytes]:
    """Its lines."""
    page, account_id = request.page("statement"), await _account(request)
    found = await request.cross(
        request.services.statements.latest, request.principal.organisation_id, account_id, page.position, page.limit
    )
    last = found.lines[-1].position if found.has_more else None
    return answer_page(request, "statement", [line_out(line) for line in found.lines], last)


async def _account(request: Call) -> UUID:
    """The account that is asked about.

    :raises AccountUnknown: there is none, or it is another organisation's.
    """
    account_id = request.id_of("acc", "account_id")
    if not await desk_of(request).owns(request.principal, account_id):
        raise AccountUnknown
    return account_id


class Point(NamedTuple):
    """A point in the past, and the parameter that named it."""

    name: str
    position: int | None
    time: datetime | None


def read_point(query: Mapping[str, str], names: Sequence[str]) -> Point | None:
    """The point that is asked about, None for now.

    :raises Invalid: not one, or several.
    """
    given = [name for name in names if name in query]
    if len(given) > 1:
        raise Invalid([Fault(detail=f"expected at most one of {', '.join(names)}", parameter=given[1])])
    if not given:
        return None
    (name,) = given
    if name == _POSITION:
        return Point(name, read_position(query, name), None)
    return Point(name, None, read_time(query, name))


async def _asked(request: Call, point: Point, question: Callable[..., T], account_id: UUID) -> T:
    """Ask about the past.

    :raises Invalid: the point lies ahead.
    """
    try:
        return await request.cross(question, account_id, position=point.position, recorded_at=point.time)
    except InvalidRequest as error:
        raise Invalid([Fault(detail=error.detail, parameter=point.name)]) from error


def _there(found: T | None) -> T:
    """What was found.

    :raises AccountUnknown: the account did not exist.
    """
    if found is None:
        raise AccountUnknown
    return found


def _effective(found: PostedEffective) -> EffectiveOut:
    return EffectiveOut(
        account_id=render("acc", found.account_id),
        posted=format_credits(found.posted_ucr),
        effective_at=found.at,
        log_position=found.log_position,
    )
