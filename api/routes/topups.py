"""Money in: prices, top-ups, and what rails tell us about them."""

from __future__ import annotations

from litestar import Response, get, post

from api.call import Call, answer, answer_page
from api.errors import Fault, Invalid
from api.limits import PAGE_DEFAULT, PAGE_MAX
from api.operations import IDEMPOTENCY_KEY, REPLAYED, Answer, Operation, Parameter, paging, path_id
from api.views.common import PageOut
from api.views.topups import PricesOut, TopUpIn, TopUpOut, prices_out, topup_out
from ledger.ids import render
from ledger.limits import INT64_MAX
from payments.errors import AmountOutOfRange, KeyReused, PackUnknown, PaymentRefusal, RailUnknown
from payments.limits import NOTIFICATION_BYTES_MAX
from payments.opening import OpenTopUp

_TOPUP_ID = path_id("topup_id", "top", "The top-up.")
_PRICES = Operation(
    operation_id="getPrices",
    summary="What credits cost",
    tag="Top-ups",
    scope="topups:read",
    answers=(Answer(status=200, description="Prices in force and rails that are on.", kind=PricesOut),),
)
_OPEN = Operation(
    operation_id="openTopUp",
    summary="Order credits",
    description="Answers with a price that holds for a while, and how to pay it. Credits come when the rail says so.",
    tag="Top-ups",
    scope="topups:write",
    answers=(
        Answer(
            status=201,
            description="The top-up.",
            kind=TopUpOut,
            headers={"Location": "Address of the top-up.", **REPLAYED},
        ),
    ),
    body=TopUpIn,
    example={"rail": "sandbox", "pack": "starter"},
    parameters=(IDEMPOTENCY_KEY,),
    problems=(
        "malformed-body",
        "idempotency-key-missing",
        "unsupported-media-type",
        "body-too-large",
        "invalid-request",
        "too-many-open-topups",
    ),
)
_GET = Operation(
    operation_id="getTopUp",
    summary="One top-up",
    tag="Top-ups",
    scope="topups:read",
    answers=(Answer(status=200, description="The top-up.", kind=TopUpOut),),
    parameters=(_TOPUP_ID,),
    problems=("not-found",),
)
_LIST = Operation(
    operation_id="listTopUps",
    summary="All top-ups",
    tag="Top-ups",
    scope="topups:read",
    answers=(Answer(status=200, description="Top-ups, newest first.", kind=PageOut[TopUpOut]),),
    parameters=paging(PAGE_MAX, PAGE_DEFAULT),
    problems=("invalid-request",),
)
_NOTIFY = Operation(
    operation_id="receiveNotification",
    summary="What a payment rail tells us",
    description="For payment rails. Authenticated by the rail's own rule, stored, and then looked up at the source.",
    tag="Top-ups",
    scope=None,
    answers=(Answer(status=204, description="Stored."),),
    body=bytes,
    body_media_type="application/octet-stream",
    parameters=(
        Parameter(name="rail", where="path", description="The rail.", schema={"type": "string"}, required=True),
    ),
    problems=("notification-refused", "not-found", "body-too-large"),
)


@get("/prices", opt=_PRICES.options())
async def prices(request: Call) -> Response[bytes]:
    """Prices in force."""
    topups = request.services.topups
    return answer(prices_out(await request.cross(topups.price_book), topups.rails))


@post("/topups", opt=_OPEN.options())
async def open_topup(request: Call) -> Response[bytes]:
    """Order credits."""
    key, principal = request.idempotency_key(), request.principal
    wanted = await request.read(TopUpIn)
    asked = OpenTopUp(
        organisation_id=principal.organisation_id,
        account_id=principal.account_id,
        key=key,
        product=wanted.product(),
        rail=wanted.rail,
    )
    try:
        opened = await request.cross(request.services.topups.open, asked)
    except PaymentRefusal as error:
        raise await _in_words_of(request, wanted, error) from error
    headers = {"Location": f"/api/v1/topups/{render('top', opened.topup_id)}"}
    if opened.replayed:
        headers["Idempotency-Replayed"] = "true"
    return answer(topup_out(opened), 201, headers)


async def _in_words_of(request: Call, wanted: TopUpIn, error: PaymentRefusal) -> Exception:
    """A refusal that is about a field of the body, said of that field; any other as it is."""
    topups, facts = request.services.topups, error.facts
    match error:
        case RailUnknown():
            rails = ", ".join(topups.rails) or "none: no rail is on"
            return Invalid([Fault(detail=f"expected one of {rails}", pointer="/rail")])
        case PackUnknown():
            packs = ", ".join(pack.pack_id for pack in (await request.cross(topups.price_book)).packs)
            return Invalid([Fault(detail=f"expected one of {packs}", pointer="/pack")])
        case AmountOutOfRange():
            bounds = f"{facts.get('min_minor')} to {facts.get('max_minor')} {facts.get('currency')} in minor units"
            return Invalid([Fault(detail=f"expected a price of {bounds}", pointer=wanted.field)])
        case KeyReused() if facts.get("field") == "product":
            return KeyReused(field=wanted.field.removeprefix("/"))
        case _:
            return error


@get("/topups/{topup_id:str}", opt=_GET.options())
async def get_topup(request: Call) -> Response[bytes]:
    """One top-up."""
    topup_id = request.id_of("top", "topup_id")
    found = await request.cross(request.services.topups.get, request.principal.organisation_id, topup_id)
    return answer(topup_out(found))


@get("/topups", opt=_LIST.options())
async def list_topups(request: Call) -> Response[bytes]:
    """All top-ups."""
    page = request.page("topups")
    before = INT64_MAX if page.position is None else page.position
    found = await request.cross(
        request.services.topups.list, request.principal.organisation_id, before=before, limit=page.limit + 1
    )
    shown = found[: page.limit]
    last = shown[-1].position if len(found) > page.limit else None
    return answer_page(request, "topups", [topup_out(topup) for topup in shown], last)


@post("/rails/{rail:str}/notifications", opt=_NOTIFY.options(), request_max_body_size=NOTIFICATION_BYTES_MAX)
async def notify(request: Call) -> Response[None]:
    """Take in what a rail says."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    await request.cross(request.services.topups.receive, request.path_params["rail"], headers, await request.body())
    return Response(None, status_code=204)
