"""View models of account, statement and jobs: what templates print, out of what the services answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from api.limits import EXPIRING_SOON_S
from api.pages import words
from ledger.amounts import format_credits
from ledger.ids import render
from ledger.ports import Balance, GrantView
from projections.lines import Line
from workers.generation.tools import Tool
from workers.views import JobView, OutputView, Quote


class Bucket(Struct, frozen=True, kw_only=True):
    """One grant: what is left of it. ``pinned``: what of it is set aside or in dispute, empty for nothing."""

    kind: str
    free: str
    pinned: str
    granted: str
    ends: str


class BalanceCard(Struct, frozen=True, kw_only=True):
    """What the account has. ``soon``: free credits that end within a week, empty for none."""

    available: str
    unit: str
    held: str
    open_holds: int
    soon: str
    buckets: list[Bucket]
    version: int


class Row(Struct, frozen=True, kw_only=True):
    """A line of the statement; ``tone`` is in, out or quiet."""

    when: str
    iso: str
    what: str
    href: str
    amount: str
    held: str
    balance: str
    tone: str


class StatementCard(Struct, frozen=True, kw_only=True):
    """Lines, newest first; ``more`` is where older ones are, empty at the end."""

    rows: list[Row]
    more: str


class Picture(Struct, frozen=True, kw_only=True):
    """A picture and its file. ``url`` is a signed link that ends; ``path`` is ours and leads to a fresh one."""

    url: str
    path: str
    file_name: str
    width: int
    height: int
    alt: str
    facts: str


class JobCard(Struct, frozen=True, kw_only=True):
    """A job. ``tone`` is wait, run, good, bad or quiet; ``percent`` is None while nothing is known."""

    job_id: str
    prompt: str
    state: str
    tone: str
    note: str
    money: str
    facts: str
    ended: bool
    cancellable: bool
    percent: int | None
    preview: str
    pictures: list[Picture]
    code: str


class Price(Struct, frozen=True, kw_only=True):
    """The price beside the button. ``short`` disables it; ``fault`` says why there is no price."""

    text: str = ""
    shown: str = ""
    after: str = ""
    short: str = ""
    fault: str = ""
    note: str = ""


class Choice(Struct, frozen=True, kw_only=True):
    """An entry of a select or a radio group."""

    value: str
    text: str
    picked: bool = False


class Choices(Struct, frozen=True, kw_only=True):
    """What the form offers."""

    sizes: list[Choice]
    qualities: list[Choice]
    models: list[Choice]
    images_max: int
    prompt_chars_max: int


PREVIEW_MIMES = frozenset({"image/png", "image/jpeg", "image/webp"})
_TONES = {"running": "run", "cancelling": "run", "succeeded": "good", "failed": "bad", "expired": "bad"}


def balance_card(balance: Balance) -> BalanceCard:
    """What the account has, in words."""
    before = balance.at + timedelta(seconds=EXPIRING_SOON_S)
    soon_ucr = sum(grant.free_ucr for grant in balance.grants if grant.expires_at and grant.expires_at <= before)
    amount, _, unit = words.count_text(balance.available_ucr).partition(" ")
    return BalanceCard(
        available=amount,
        unit=unit,
        held=words.credits_text(balance.held_ucr) if balance.held_ucr else "",
        open_holds=balance.open_holds,
        soon=words.count_text(soon_ucr) if soon_ucr else "",
        buckets=[_bucket(grant, balance.at) for grant in balance.grants],
        version=balance.account_version,
    )


def _bucket(grant: GrantView, at: datetime) -> Bucket:
    parts = (("set aside", grant.held_ucr), ("in dispute", grant.frozen_ucr))
    return Bucket(
        kind=words.GRANT_KINDS.get(grant.kind, grant.kind),
        free=words.credits_text(grant.free_ucr),
        pinned=", ".join(f"{words.credits_text(amount_ucr)} {what}" for what, amount_ucr in parts if amount_ucr),
        granted=words.credits_text(grant.granted_ucr),
        ends=_end(grant.expires_at, at),
    )


def _end(expires_at: datetime | None, at: datetime) -> str:
    if expires_at is None:
        return "no end date"
    return f"{'ended' if expires_at <= at else 'until'} {words.when_text(expires_at)}"


def statement_card(lines: Sequence[Line], *, has_more: bool) -> StatementCard:
    """Lines with the balance after each."""
    more = f"/statement?before={lines[-1].position}" if has_more else ""
    return StatementCard(rows=[_row(line) for line in lines], more=more)


def _row(line: Line) -> Row:
    what = words.LINE_KINDS[line.kind]
    if line.kind == "grant" and line.detail != "paid":
        what = f"{what}: {words.GRANT_KINDS.get(line.detail, line.detail).lower()}"
    elif line.kind in ("revoke", "debt", "adjustment"):
        what = f"{what}: {words.CAUSES.get(line.detail, line.detail)}"
    elif line.kind == "repayment":
        what = f"{what}: {words.count_text(-line.debt_change_ucr)}"
    tone = "in" if line.amount_ucr > 0 else "out" if line.amount_ucr < 0 else "quiet"
    return Row(
        when=words.short_when_text(line.recorded_at),
        iso=line.recorded_at.isoformat(),
        what=what,
        href=_line_href(line),
        amount=words.signed_text(line.amount_ucr),
        held=words.signed_text(line.held_change_ucr + line.frozen_change_ucr),
        balance=words.credits_text(line.posted_ucr),
        tone=tone,
    )


def _line_href(line: Line) -> str:
    if topup := line.reference_of("top"):
        return f"/topups/{topup}"
    job = line.reference_of("job")
    return f"/jobs/{job}" if job else ""


def job_card(job: JobView) -> JobCard:
    """A job in words, with its pictures and what it cost."""
    size = f"{job.width} \N{MULTIPLICATION SIGN} {job.height}"
    facts = f"{size}, {job.quality} quality, {job.model}, seed {job.seed}"
    return JobCard(
        job_id=render("job", job.job_id),
        prompt=job.prompt or "",
        state=words.JOB_STATES[job.state],
        tone=_TONES.get(job.state, "quiet" if job.ended else "wait"),
        note=_note(job),
        money=_money(job),
        facts=facts,
        ended=job.ended,
        cancellable=not job.ended and job.state != "cancelling",
        percent=round(job.progress.fraction * 100) if job.progress and job.state == "running" else None,
        preview=_preview(job),
        pictures=[_picture(output, job, n) for n, output in enumerate(job.outputs, 1)],
        code=job.error_code or "",
    )


def _note(job: JobView) -> str:
    if job.state == "failed":
        return f"It failed because {words.why(job.error_code)}."
    if job.queue is None:
        return ""
    if not job.queue.possible:
        return "No machine in service can paint this just now. It starts as soon as one is there."
    place = "It is next." if job.queue.position == 1 else f"Place {job.queue.position} in the queue."
    wait_s = job.queue.wait_p50_s
    return place if wait_s is None else f"{place} Usually starts in {words.span_text(timedelta(seconds=wait_s))}."


def _money(job: JobView) -> str:
    if job.state == "succeeded":
        return f"{words.count_text(job.charged_ucr)} paid"
    if not job.ended:
        return f"{words.count_text(job.held_ucr)} set aside" if job.held_ucr else "free"
    if job.charged_ucr == 0:
        returned = f", {words.count_text(job.price_ucr)} returned" if job.price_ucr else ""
        return f"Not charged{returned}"
    returned_ucr = job.price_ucr - job.charged_ucr
    return f"{words.count_text(job.charged_ucr)} paid, {words.count_text(returned_ucr)} returned"


def _preview(job: JobView) -> str:
    progress = job.progress
    if job.state != "running" or progress is None:
        return ""
    return preview_url(progress.preview_mime, progress.preview_base64)


def preview_url(mime: str | None, base64: str | None) -> str:
    """A preview as the source of a picture; empty when there is none, or not of a kind that is a picture."""
    return f"data:{mime};base64,{base64}" if mime in PREVIEW_MIMES and base64 else ""


def _picture(output: OutputView, job: JobView, number: int) -> Picture:
    ending = output.mime.rpartition("/")[2].replace("jpeg", "jpg")
    named = render("job", job.job_id)
    return Picture(
        url=output.url,
        path=f"/jobs/{named}/pictures/{number}",
        file_name=f"{named}-{number}.{ending}",
        width=output.width,
        height=output.height,
        alt=job.prompt or "the picture",
        facts=f"SHA-256 {output.sha256}",
    )


def price_tag(quote: Quote, *, note: str = "") -> Price:
    """A price and whether the account has it."""
    short = words.count_text(quote.missing_ucr) if quote.missing_ucr else ""
    return Price(
        text=words.count_text(quote.price_ucr) if quote.price_ucr else "free",
        shown=format_credits(quote.price_ucr),
        after="" if short else words.credits_text(quote.available_ucr - quote.price_ucr),
        short=short,
        note=note,
    )


def choices(tool: Tool, picked: dict[str, str]) -> Choices:
    """What the form offers, with what was chosen so far."""
    size = picked.get("size", tool.default_aspect_ratio)
    quality = picked.get("quality", tool.default_quality)
    model = picked.get("model", tool.default_model)
    return Choices(
        sizes=[
            Choice(value=ratio, text=words.size_text(ratio, *edges), picked=ratio == size)
            for ratio, edges in tool.aspect_ratios.items()
        ],
        qualities=[Choice(value=name, text=name.capitalize(), picked=name == quality) for name in tool.qualities],
        models=[Choice(value=name, text=name, picked=name == model) for name in tool.models],
        images_max=tool.bounds.images_max,
        prompt_chars_max=tool.bounds.prompt_chars_max,
    )
