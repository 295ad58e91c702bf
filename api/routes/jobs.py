"""Jobs: price, order, look, cancel, follow."""

from __future__ import annotations

import re

from litestar import Response, get, post
from litestar.types import ASGIApp

from api.auth import bearer
from api.call import Call, answer, answer_page
from api.errors import Fault, Invalid
from api.limits import PAGE_DEFAULT, PAGE_MAX, RETRY_AFTER_JOB_S, WAIT_MAX_S
from api.live.stream import JobStream, nothing_more
from api.operations import (
    CREDITS,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    PREFER,
    REPLAYED,
    Answer,
    Operation,
    Parameter,
    paging,
    path_id,
)
from api.reading import read_choice
from api.views.common import PageOut
from api.views.jobs import GenerateIn, JobOut, JobQuoteOut, job_out, job_path, quote_out
from customers.errors import KeyRejected
from ledger.amounts import format_credits
from workers.views import JobView

_STATES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")
_WAIT = re.compile(r'\s*wait\s*=\s*"?(?P<seconds>[0-9]{1,6})"?\s*', re.IGNORECASE)
_EVENT_ID = re.compile(r"[0-9]{1,18}")
_JOB_ID = path_id("job_id", "job", "The job.")
_EXAMPLE = {"prompt": "a lighthouse at dusk, oil on canvas", "aspect_ratio": "1:1", "seed": 7}
_BODY_PROBLEMS = ("malformed-body", "unsupported-media-type", "body-too-large", "invalid-request")
_QUOTE = Operation(
    operation_id="quoteJob",
    summary="Price a job",
    description="Prices a request and says which grants it would be taken from. Nothing is held.",
    tag="Jobs",
    scope="jobs:read",
    answers=(Answer(status=200, description="The price.", kind=JobQuoteOut),),
    body=GenerateIn,
    example=_EXAMPLE,
    problems=_BODY_PROBLEMS,
)
_GENERATE = Operation(
    operation_id="generate",
    summary="Order a job",
    description="Holds the price and queues the job. It is charged when its pictures are stored, and only then.",
    tag="Jobs",
    scope="jobs:write",
    answers=(
        Answer(
            status=202,
            description="Accepted.",
            kind=JobOut,
            headers={"Location": "Address of the job.", "Retry-After": "When to look.", **CREDITS, **REPLAYED},
        ),
        Answer(
            status=200,
            description="Ended within the time of `Prefer: wait`.",
            kind=JobOut,
            headers={"Location": "Address of the job.", "Preference-Applied": "The wait.", **CREDITS, **REPLAYED},
        ),
    ),
    body=GenerateIn,
    example=_EXAMPLE,
    parameters=(IDEMPOTENCY_KEY, PREFER),
    problems=(
        *_BODY_PROBLEMS,
        "idempotency-key-missing",
        "insufficient-credits",
        "outcome-unknown",
        "too-many-holds",
        "too-many-slices",
    ),
)
_GET = Operation(
    operation_id="getJob",
    summary="One job",
    tag="Jobs",
    scope="jobs:read",
    answers=(Answer(status=200, description="The job as it is now.", kind=JobOut, headers=CREDITS),),
    parameters=(_JOB_ID,),
    problems=("not-found",),
)
_LIST = Operation(
    operation_id="listJobs",
    summary="All jobs",
    tag="Jobs",
    scope="jobs:read",
    answers=(Answer(status=200, description="Jobs, newest first.", kind=PageOut[JobOut]),),
    parameters=(
        *paging(PAGE_MAX, PAGE_DEFAULT),
        Parameter(
            name="state",
            where="query",
            description="Only jobs in this state.",
            schema={"type": "string", "enum": list(_STATES)},
        ),
    ),
    problems=("invalid-request",),
)
_CANCEL = Operation(
    operation_id="cancelJob",
    summary="Cancel a job",
    description="Ends a waiting job at once and a running one within about a second. A job that ended stays as it is.",
    tag="Jobs",
    scope="jobs:write",
    answers=(Answer(status=200, description="The job as it is now.", kind=JobOut, headers=CREDITS),),
    parameters=(_JOB_ID,),
    problems=("not-found",),
)
_EVENTS = Operation(
    operation_id="followJob",
    summary="Follow a job",
    description=(
        "Server-Sent Events: `state` and, as the last, `done`, each with an id to resume from; `progress`, `preview` "
        "and `cancelling` without one, which may be lost."
    ),
    tag="Jobs",
    scope="jobs:read",
    answers=(
        Answer(status=200, description="The stream.", kind=str, media_type="text/event-stream"),
        Answer(status=204, description="The job has ended and its last event was seen."),
    ),
    parameters=(_JOB_ID, LAST_EVENT_ID),
    problems=("not-found", "invalid-request", "too-many-streams"),
)


@post("/quotes", opt=_QUOTE.options(), status_code=200)
async def quote(request: Call) -> Response[bytes]:
    """Price a job."""
    wanted, principal = await request.read(GenerateIn), request.principal
    found = await request.cross(
        request.services.jobs.quote, principal.organisation_id, principal.account_id, wanted.params()
    )
    return answer(quote_out(found))


@post("/generate", opt=_GENERATE.options(), status_code=202)
async def generate(request: Call) -> Response[bytes]:
    """Order a job, and wait for its end where that is preferred."""
    key, wait_s = request.idempotency_key(), preferred_wait_s(request.headers.get("prefer"))
    wanted, principal = await request.read(GenerateIn), request.principal
    ordered = await request.cross(
        request.services.jobs.generate,
        principal.organisation_id,
        principal.account_id,
        key,
        wanted.params(),
        principal.key_id,
    )
    job = ordered.job
    headers = {"Location": job_path(job.job_id), "Credits-Remaining": format_credits(ordered.available_ucr)}
    if ordered.replayed:
        headers["Idempotency-Replayed"] = "true"
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
        job = await ended_within(request, job, wait_s)
    if not job.ended:
        headers["Retry-After"] = str(RETRY_AFTER_JOB_S)
    return _job(job, 200 if wait_s and job.ended else 202, headers)


@get("/jobs/{job_id:str}", opt=_GET.options())
async def get_job(request: Call) -> Response[bytes]:
    """One job."""
    job_id = request.id_of("job", "job_id")
    return _job(await request.cross(request.services.jobs.get, request.principal.organisation_id, job_id))


@get("/jobs", opt=_LIST.options())
async def list_jobs(request: Call) -> Response[bytes]:
    """All jobs."""
    page, state = request.page("jobs"), read_choice(request.query, "state", _STATES)
    found = await request.cross(
        request.services.jobs.list,
        request.principal.organisation_id,
        after=page.position,
        limit=page.limit,
        state=state,
    )
    return answer_page(request, "jobs", [job_out(job) for job in found.jobs], found.next_after)


@post("/jobs/{job_id:str}/cancel", opt=_CANCEL.options(), status_code=200)
async def cancel(request: Call) -> Response[bytes]:
    """End a job."""
    job_id = request.id_of("job", "job_id")
    return _job(await request.cross(request.services.jobs.cancel, request.principal.organisation_id, job_id))


@get("/jobs/{job_id:str}/events", opt=_EVENTS.options())
async def events(request: Call) -> ASGIApp:
    """Follow a job."""
    job_id, organisation_id = request.id_of("job", "job_id"), request.principal.organisation_id
    after = last_event_id(request.headers.get("last-event-id"))
    changes = await request.cross(request.services.jobs.job_changes, organisation_id, job_id, after)
    if after and changes.ended and not changes.changes:
        return nothing_more
    services, secret = request.services, bearer(request.scope)

    async def guard() -> bool:
        try:
            found = services.keys.recall(secret) or await services.crossing.call(services.keys.verify, secret)
        except KeyRejected:
            return False
        return found.organisation_id == organisation_id

    return JobStream(services, organisation_id, job_id, after=after, guard=guard)


async def ended_within(request: Call, job: JobView, seconds: int) -> JobView:
    """The job once it has ended, or as it is when the time is over or the server stops."""
    services, organisation_id = request.services, request.principal.organisation_id
    deadline_s = services.clock.monotonic_s() + seconds
    with services.hub.listen(organisation_id, job.job_id) as listener:
        while not job.ended and not services.hub.closing:
            if listener.take_moved():
                job = await request.cross(services.jobs.get, organisation_id, job.job_id)
                continue
            left_s = deadline_s - services.clock.monotonic_s()
            if left_s <= 0 or not await listener.wait(left_s):
                break
            listener.take_progress()
    return job


def preferred_wait_s(prefer: str | None) -> int:
    """Seconds of ``Prefer: wait=N``, at most ``WAIT_MAX_S``; 0 without one. Other preferences are not ours."""
    for preference in (prefer or "").split(","):
        if match := _WAIT.fullmatch(preference):
            return min(int(match["seconds"]), WAIT_MAX_S)
    return 0


def last_event_id(value: str | None) -> int:
    """Position that a stream goes on behind; 0 is its beginning.

    :raises Invalid: not an id that we gave.
    """
    if not value:
        return 0
    if _EVENT_ID.fullmatch(value) is None:
        raise Invalid([Fault(detail="expected the id of an event of this stream", header="Last-Event-ID")])
    return int(value)


def _job(job: JobView, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    credits_ = {"Credits-Charged": format_credits(job.charged_ucr), "Credits-Held": format_credits(job.held_ucr)}
    return answer(job_out(job), status, {**credits_, **(headers or {})})
