"""Jobs as bodies and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import asdict

from api.views.common import Credits
from ledger.amounts import format_credits
from ledger.ids import render
from workers.generation.tools import JobParams
from workers.views import Burn, JobChange, JobView, OutputView, Quote


class GenerateIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to paint. Either ``width`` and ``height`` or ``aspect_ratio``; what is left out is the tool's default."""

    prompt: Annotated[str, Meta(description="What to paint.", examples=["a lighthouse at dusk, oil on canvas"])]
    negative_prompt: Annotated[str, Meta(description="What to leave out.")] = ""
    width: Annotated[int | None, Meta(description="Pixels.", examples=[1024])] = None
    height: Annotated[int | None, Meta(description="Pixels.", examples=[1024])] = None
    aspect_ratio: Annotated[str | None, Meta(description="Width to height.", examples=["1:1"])] = None
    seed: Annotated[int | None, Meta(description="The same seed gives the same picture.")] = None
    model: str | None = None
    quality: str | None = None
    images: Annotated[int, Meta(description="How many.")] = 1
    tool: str = "txt2img"

    def params(self) -> JobParams:
        """The same, for those who price and paint."""
        return JobParams(**asdict(self))


class LineOut(Struct, frozen=True, kw_only=True):
    """A part of a price."""

    label: str
    amount: Credits


class BurnOut(Struct, frozen=True, kw_only=True):
    """What would be taken from one grant."""

    grant_id: str
    kind: str
    amount: Credits


class JobQuoteOut(Struct, frozen=True, kw_only=True):
    """The price of a request at this moment; nothing is held. ``missing`` is what the account lacks for it."""

    tool: str
    tool_version: int
    model: str
    quality: str
    width: int
    height: int
    images: int
    price: Credits
    price_version: int
    lines: list[LineOut]
    burns: list[BurnOut]
    available: Credits
    missing: Credits
    cancel_rule: str
    expected_s: float
    deadline_s: int


class OutputOut(Struct, frozen=True, kw_only=True):
    """One picture; ``url`` is a signed link that ends at ``url_expires_at``."""

    output_id: str
    url: str
    url_expires_at: datetime
    sha256: str
    size_bytes: int
    mime: str
    width: int
    height: int


class QueueOut(Struct, frozen=True, kw_only=True):
    """Where a waiting job stands: 1 is next. ``possible`` is false while no node in service can run it."""

    position: int
    wait_p50_s: float | None
    wait_p90_s: float | None
    possible: bool


class JobErrorOut(Struct, frozen=True, kw_only=True):
    """Why a job ended without a result."""

    code: str


class JobUrls(Struct, frozen=True, kw_only=True):
    """Where to go on."""

    self: str
    events: str
    cancel: str


class JobOut(Struct, frozen=True, kw_only=True):
    """A job. ``prompt`` is None once erased; ``progress`` goes from 0 to 1 and may be missing."""

    job_id: str
    state: str
    tool: str
    tool_version: int
    model: str
    quality: str
    width: int
    height: int
    images: int
    seed: int
    prompt: str | None
    negative_prompt: str | None
    price: Credits
    price_version: int
    held: Credits
    charged: Credits
    error: JobErrorOut | None
    attempts: int
    queue: QueueOut | None
    progress: float | None
    outputs: list[OutputOut]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime
    log_position: int
    urls: JobUrls


class ChangeOut(Struct, frozen=True, kw_only=True):
    """A state change, as in a live stream."""

    job_id: str
    state: str
    at: datetime
    charged: Credits
    error: JobErrorOut | None


def quote_out(quote: Quote) -> JobQuoteOut:
    """A price."""
    return JobQuoteOut(
        tool=quote.tool,
        tool_version=quote.tool_version,
        model=quote.model,
        quality=quote.quality,
        width=quote.width,
        height=quote.height,
        images=quote.images,
        price=format_credits(quote.price_ucr),
        price_version=quote.price_version,
        lines=[LineOut(label=line.label, amount=format_credits(line.amount_ucr)) for line in quote.lines],
        burns=[_burn(burn) for burn in quote.burns],
        available=format_credits(quote.available_ucr),
        missing=format_credits(quote.missing_ucr),
        cancel_rule=quote.cancel_rule,
        expected_s=quote.expected_s,
        deadline_s=quote.deadline_s,
    )


def _burn(burn: Burn) -> BurnOut:
    return BurnOut(grant_id=render("grant", burn.grant_id), kind=burn.kind, amount=format_credits(burn.amount_ucr))


def job_path(job_id: UUID) -> str:
    """Address of a job."""
    return f"/api/v1/jobs/{render('job', job_id)}"


def job_out(job: JobView) -> JobOut:
    """A job as its organisation sees it."""
    path = job_path(job.job_id)
    return JobOut(
        job_id=render("job", job.job_id),
        state=job.state,
        tool=job.tool,
        tool_version=job.tool_version,
        model=job.model,
        quality=job.quality,
        width=job.width,
        height=job.height,
        images=job.images,
        seed=job.seed,
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        price=format_credits(job.price_ucr),
        price_version=job.price_version,
        held=format_credits(job.held_ucr),
        charged=format_credits(job.charged_ucr),
        error=_error(job.error_code),
        attempts=job.attempts,
        queue=QueueOut(**asdict(job.queue)) if job.queue else None,
        progress=job.progress.fraction if job.progress else None,
        outputs=[output_out(output) for output in job.outputs],
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        deadline_at=job.deadline_at,
        log_position=job.log_position,
        urls=JobUrls(self=path, events=f"{path}/events", cancel=f"{path}/cancel"),
    )


def output_out(output: OutputView) -> OutputOut:
    """A picture."""
    return OutputOut(
        output_id=render("img", output.output_id),
        url=output.url,
        url_expires_at=output.url_expires_at,
        sha256=output.sha256,
        size_bytes=output.size_bytes,
        mime=output.mime,
        width=output.width,
        height=output.height,
    )


def change_out(job_id: UUID, change: JobChange) -> ChangeOut:
    """A state change."""
    return ChangeOut(
        job_id=render("job", job_id),
        state=change.state,
        at=change.at,
        charged=format_credits(change.charged_ucr),
        error=_error(change.error_code),
    )


def _error(code: str | None) -> JobErrorOut | None:
    return JobErrorOut(code=code) if code else None
