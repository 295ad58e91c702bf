"""Jobs by hand: order, look, cancel."""

from __future__ import annotations

from litestar import Response, get, post

from api.errors import NotFound
from api.pages import words
from api.pages.call import Member, PageCall, go
from api.pages.limits import REFRESH_S
from api.pages.loading import Loader, fault_of, following
from api.pages.reading import Fields, form_number, job_params
from api.pages.routes.front import CARD_PARTS, home
from api.pages.show import Price, job_card, price_tag
from ledger.amounts import format_credits
from ledger.ids import render
from workers.errors import InvalidInputs, OrderRefused
from workers.generation.tools import JobParams
from workers.views import Ordered

_CHANGED = "The price has changed. Press again to order at this one."
_INSUFFICIENT = "insufficient-credits"


@post("/generate", status_code=200)
async def generate(request: PageCall) -> Response[str]:
    """Order the picture of the form, at the price that was shown beside the button."""
    member = await request.member("jobs:write", "jobs:read")
    fields = await request.fields(member.session)
    key = f"page:{form_number(fields)}"
    loader = Loader(request.services, request.parts)
    try:
        params = job_params(fields)
        price = await _changed(request, member, params, fields)
        if price is not None:
            return await _refused(request, member, fields, price, 409)
        ordered = await _order(request, member, key, params)
    except InvalidInputs as error:
        return await _refused(request, member, fields, fault_of(error), 422)
    except OrderRefused as error:
        if error.code != _INSUFFICIENT:
            raise
        price = await request.cross(loader.price, member, fields)
        return await _refused(request, member, fields, price, 402)
    if not request.fragment:
        return go(f"/jobs/{render('job', ordered.job.job_id)}")
    return request.show(
        "fragments.html",
        member.session,
        say="Ordered",
        alert="",
        renew=True,
        new_jobs=[job_card(ordered.job)],
        price=await request.cross(loader.price, member, fields),
        balance=await request.cross(loader.balance, member),
    )


async def _changed(request: PageCall, member: Member, params: JobParams, fields: Fields) -> Price | None:
    """The price, where it is not the one that was shown."""
    quote = await request.cross(request.services.jobs.quote, member.organisation_id, member.account_id, params)
    if fields.get("price") == format_credits(quote.price_ucr):
        return None
    return price_tag(quote, note=_CHANGED)


async def _order(request: PageCall, member: Member, key: str, params: JobParams) -> Ordered:
    principal = member.principal
    return await request.cross(
        request.services.jobs.generate, principal.organisation_id, principal.account_id, key, params, principal.key_id
    )


async def _refused(request: PageCall, member: Member, fields: Fields, price: Price, status: int) -> Response[str]:
    """The form once more, saying why. A fragment that a script puts in place is no failure of the request."""
    if request.fragment:
        return request.show("fragments.html", member.session, renew=True, price=price, alert="")
    return await home(request, member, fields, price=price, status=status)


@get("/jobs/{job_id:str}")
async def job(request: PageCall) -> Response[str]:
    """One job, live."""
    member = await request.member("jobs:read")
    job_id = request.id_of("job", "job_id")
    loader = Loader(request.services, request.parts)
    card = await request.cross(loader.job, member, job_id)
    balance = await request.cross(loader.balance, member)
    return request.show(
        "job.html",
        member.session,
        job=card,
        balance=balance,
        name=await request.cross(loader.name, member),
        parts=CARD_PARTS,
        follow=following(balance.version if balance else 0, [card], []),
        refresh_s=REFRESH_S,
        oob=False,
    )


@get("/jobs/{job_id:str}/pictures/{number:int}")
async def picture(request: PageCall) -> Response[str]:
    """One picture of a job, by a link that is fresh however long the page has been open."""
    member = await request.member("jobs:read")
    job_id, number = request.id_of("job", "job_id"), int(request.path_params["number"])
    found = await request.cross(request.services.jobs.outputs, member.organisation_id, job_id)
    if not 1 <= number <= len(found):
        raise NotFound
    return go(found[number - 1].url)


@post("/jobs/{job_id:str}/cancel", status_code=200)
async def cancel(request: PageCall) -> Response[str]:
    """Ask for a job's end."""
    member = await request.member("jobs:write", "jobs:read")
    await request.fields(member.session)
    job_id = request.id_of("job", "job_id")
    cancelled = await request.cross(request.services.jobs.cancel, member.organisation_id, job_id)
    if not request.fragment:
        return go(f"/jobs/{render('job', job_id)}")
    loader = Loader(request.services, request.parts)
    returned = f"{words.count_text(cancelled.price_ucr)} returned"
    said = f"Cancelled, {returned}" if cancelled.state == "cancelled" else "Cancelling"
    return request.show(
        "fragments.html",
        member.session,
        say=said,
        jobs=[job_card(cancelled)],
        balance=await request.cross(loader.balance, member),
    )
