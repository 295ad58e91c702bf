"""What accounts of the organisation have, what is pinned of it, and how they came to that."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, get

from api.call import Call, answer, answer_page
from api.ledger.desk import desk_of
from api.ledger.routes import TAG
from api.limits import HOLDS_MAX, PAGE_DEFAULT, PAGE_MAX
from api.operations import Answer, Operation, Parameter, paging, path_id
from api.reading import read_number
from api.views.balance import BalanceOut, HoldOut, LineOut, balance_out, hold_out, line_out
from api.views.common import PageOut
from ledger.errors import AccountUnknown

READ = "ledger:read"
ACCOUNT_ID = path_id("account_id", "acc", "An account of the organisation.")
_BALANCE = Operation(
    operation_id="getAccountBalance",
    summary="What an account has",
    description="Posted, held, frozen and available credits, and the grants they lie in, at one position of the log.",
    tag=TAG,
    scope=READ,
    answers=(Answer(status=200, description="The account.", kind=BalanceOut),),
    parameters=(ACCOUNT_ID,),
    problems=("account-unknown",),
    quota="ledger",
)
_HOLDS = Operation(
    operation_id="listAccountHolds",
    summary="Open holds of an account",
    tag=TAG,
    scope=READ,
    answers=(Answer(status=200, description="Open holds, newest first.", kind=PageOut[HoldOut]),),
    parameters=(
        ACCOUNT_ID,
        Parameter(
            name="limit",
            where="query",
            description="Most entries of the answer.",
            schema={"type": "integer", "minimum": 1, "maximum": HOLDS_MAX, "default": PAGE_DEFAULT},
        ),
    ),
    problems=("account-unknown", "invalid-request"),
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
    """One account."""
    account_id = await _account(request)
    found = await request.cross(request.services.ledger.balance, account_id)
    assert found is not None, "an account that has an owner is there"
    return answer(balance_out(found))


@get("/ledger/accounts/{account_id:str}/holds", opt=_HOLDS.options())
async def holds(request: Call) -> Response[bytes]:
    """Its open holds."""
    limit = read_number(request.query, "limit", PAGE_DEFAULT, HOLDS_MAX)
    account_id = await _account(request)
    found = await request.cross(request.services.ledger.open_holds, account_id, limit=limit + 1)
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
