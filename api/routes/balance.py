"""What an account has, what is pinned of it, and how it came to that."""

from __future__ import annotations

from litestar import Response, get

from api.call import Call, answer, answer_page
from api.errors import NotFound
from api.limits import HOLDS_MAX, PAGE_DEFAULT, PAGE_MAX
from api.operations import Answer, Operation, Parameter, paging
from api.reading import read_number
from api.views.balance import BalanceOut, HoldOut, LineOut, balance_out, hold_out, line_out
from api.views.common import PageOut

_BALANCE = Operation(
    operation_id="getBalance",
    summary="What the account has",
    description="Posted, held, frozen and available credits, and the grants they lie in, at one position of the log.",
    tag="Account",
    scope="balance:read",
    answers=(Answer(status=200, description="The account.", kind=BalanceOut),),
)
_HOLDS = Operation(
    operation_id="listOpenHolds",
    summary="Credits pinned for jobs",
    tag="Account",
    scope="balance:read",
    answers=(Answer(status=200, description="Open holds, newest first.", kind=PageOut[HoldOut]),),
    parameters=(
        Parameter(
            name="limit",
            where="query",
            description="Most entries of the answer.",
            schema={"type": "integer", "minimum": 1, "maximum": HOLDS_MAX, "default": PAGE_DEFAULT},
        ),
    ),
    problems=("invalid-request",),
)
_STATEMENT = Operation(
    operation_id="listStatementLines",
    summary="How the account came to what it has",
    description="One line for each event that moves something, newest first. Up to a second behind the balance.",
    tag="Account",
    scope="statement:read",
    answers=(
        Answer(
            status=200,
            description="Lines, newest first.",
            kind=PageOut[LineOut],
            headers={"Link": 'The next page, as `rel="next"`.'},
        ),
    ),
    parameters=paging(PAGE_MAX, PAGE_DEFAULT),
    problems=("invalid-request",),
)


@get("/balance", opt=_BALANCE.options())
async def balance(request: Call) -> Response[bytes]:
    """The account."""
    found = await request.cross(request.services.ledger.balance, request.principal.account_id)
    if found is None:
        raise NotFound
    return answer(balance_out(found))


@get("/holds", opt=_HOLDS.options())
async def holds(request: Call) -> Response[bytes]:
    """Its open holds."""
    limit = read_number(request.query, "limit", PAGE_DEFAULT, HOLDS_MAX)
    found = await request.cross(request.services.ledger.open_holds, request.principal.account_id, limit=limit + 1)
    return answer(PageOut(data=[hold_out(hold) for hold in found[:limit]], has_more=len(found) > limit))


@get("/statement", opt=_STATEMENT.options())
async def statement(request: Call) -> Response[bytes]:
    """Its lines."""
    page, principal = request.page("statement"), request.principal
    found = await request.cross(
        request.services.statements.latest,
        principal.organisation_id,
        principal.account_id,
        page.position,
        page.limit,
    )
    last = found.lines[-1].position if found.has_more else None
    return answer_page(request, "statement", [line_out(line) for line in found.lines], last)
