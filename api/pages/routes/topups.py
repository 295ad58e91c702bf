"""Adding credits: price an amount, order it, watch the money come; and the sandbox's page, where it comes from."""

from __future__ import annotations

from litestar import Response, get, post

from api.errors import NotFound
from api.pages import words
from api.pages.call import Member, PageCall, go
from api.pages.limits import REFRESH_S
from api.pages.loading import Loader, following
from api.pages.parts import Desk
from api.pages.reading import Fields, form_number, product
from api.pages.routes.front import CARD_PARTS, home
from api.pages.show_topups import Deal, deal, overpaid_minor, sandbox_card, underpaid_minor
from ledger.ids import render
from payments.domain.products import Product
from payments.errors import AmountOutOfRange, TooManyOpenTopUps
from payments.opening import OpenTopUp
from payments.sandbox.desk import DeskView


@post("/topups/price", status_code=200)
async def price(request: PageCall) -> Response[str]:
    """What the form would buy."""
    member = await request.member("topups:read")
    fields = await request.fields(member.session)
    return request.show("fragments.html", member.session, oob=True, deal=await _deal(request, fields))


@post("/topups", status_code=200)
async def order(request: PageCall) -> Response[str]:
    """Order credits; the top-up's own page then says how to pay."""
    member = await request.member("topups:write", "topups:read")
    fields = await request.fields(member.session)
    wanted, fault = await _wanted(request, fields)
    if wanted is None:
        return await home(request, member, {}, alert=fault, status=422)
    asked = OpenTopUp(
        organisation_id=member.organisation_id,
        account_id=member.account_id,
        key=f"page:{form_number(fields)}",
        product=wanted,
        rail=fields.get("rail", ""),
    )
    try:
        opened = await request.cross(request.services.topups.open, asked)
    except TooManyOpenTopUps:
        busy = "Too many top-ups wait for payment. Pay one of them, or wait until one has ended."
        return await home(request, member, {}, alert=busy, status=409)
    return go(f"/topups/{render('top', opened.topup_id)}")


async def _wanted(request: PageCall, fields: Fields) -> tuple[Product | None, str]:
    """What is bought, or why nothing can be."""
    found = await _deal(request, fields)
    if found.fault:
        return None, found.fault
    return product(fields, request.services.topups.price_book()), ""


async def _deal(request: PageCall, fields: Fields) -> Deal:
    topups = request.services.topups
    book = await request.cross(topups.price_book)
    between = (
        f"{words.decimal_text(book.min_minor, book.currency)} and {words.money_text(book.max_minor, book.currency)}"
    )
    wanted = product(fields, book)
    if wanted is None:
        return Deal(fault=f"Enter an amount between {between}.")
    try:
        return deal(await request.cross(topups.quote, wanted))
    except AmountOutOfRange:
        return Deal(fault=f"The amount must be between {between}.")


@get("/topups/{topup_id:str}")
async def topup(request: PageCall) -> Response[str]:
    """One top-up, live."""
    member = await request.member("topups:read")
    topup_id = request.id_of("top", "topup_id")
    loader = Loader(request.services, request.parts)
    card = await request.cross(loader.topup, member, topup_id)
    balance = await request.cross(loader.balance, member)
    return request.show(
        "topup.html",
        member.session,
        topup=card,
        balance=balance,
        name=await request.cross(loader.name, member),
        parts=CARD_PARTS,
        follow=following(balance.version if balance else 0, [], [card]),
        refresh_s=REFRESH_S,
        oob=False,
    )


@get("/sandbox/{ref:str}")
async def sandbox(request: PageCall) -> Response[str]:
    """What the payer sees."""
    member = await request.member("topups:read")
    _, charge = await _charge(request, member)
    name = await request.cross(Loader(request.services, request.parts).name, member)
    return request.show("sandbox.html", member.session, charge=sandbox_card(charge), name=name)


@post("/sandbox/{ref:str}", status_code=200)
async def pay(request: PageCall) -> Response[str]:
    """What the payer does."""
    member = await request.member("topups:write")
    fields = await request.fields(member.session)
    desk, charge = await _charge(request, member)
    await request.cross(_act, desk, charge, fields.get("act", ""))
    return go(f"/topups/{render('top', charge.topup_id)}")


async def _charge(request: PageCall, member: Member) -> tuple[Desk, DeskView]:
    """A charge of a top-up of this organisation; another's is as unknown as none.

    :raises NotFound: no sandbox here.
    :raises ChargeUnknown, TopUpUnknown: none of this organisation's.
    """
    desk = request.parts.desk
    if desk is None:
        raise NotFound
    charge = await request.cross(desk.charge, request.path_params["ref"])
    await request.cross(request.services.topups.get, member.organisation_id, charge.topup_id)
    return desk, charge


def _act(desk: Desk, charge: DeskView, act: str) -> None:
    due_minor = charge.amount_minor - charge.received_minor
    match act:
        case "pay":
            if due_minor > 0:
                desk.pay(charge.ref, due_minor)
        case "fail":
            desk.fail(charge.ref)
        case "late":
            desk.pay_late(charge.ref)
        case "under":
            desk.pay(charge.ref, underpaid_minor(charge))
        case "over":
            desk.pay(charge.ref, overpaid_minor(charge))
        case _:
            raise NotFound
