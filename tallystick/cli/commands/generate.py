"""``tallystick generate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import click
import httpx

from api.views.jobs import JobOut, job_out
from ledger.ids import render
from tallystick.cli.common import json_option, print_json, progress_bar
from tallystick.cli.parts import organisation_option, with_parts
from tallystick.wiring import Runtime
from workers.errors import InvalidInputs
from workers.generation.tools import JobParams
from workers.objects.local import LocalObjects
from workers.views import JobView, OutputView

_LOOK_S = 0.3
_STEPS = 100
_FETCH_LIMIT_S = 30.0


@click.command("generate")
@click.argument("prompt")
@organisation_option
@click.option("--negative-prompt", default="", help="What to leave out.")
@click.option("--width", type=int, help="Pixels.")
@click.option("--height", type=int, help="Pixels.")
@click.option("--aspect-ratio", help="Instead of width and height, such as 16:9.")
@click.option("--seed", type=int, help="The same seed gives the same picture.")
@click.option("--model")
@click.option("--quality")
@click.option("--images", type=int, default=1, show_default=True)
@click.option("--idempotency-key", help="The same text never orders a second job.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to put the pictures into.")
@click.option("--no-wait", is_flag=True, help="Order it, and end.")
@json_option
def command(*, organisation: UUID, idempotency_key: str | None, as_json: bool, **asked: Any) -> None:
    """Order pictures, and wait for them. Somebody has to paint: ``tallystick run`` or ``tallystick work``."""
    out, no_wait = asked.pop("out"), asked.pop("no_wait")
    with with_parts() as parts:
        job = _order(parts, organisation, idempotency_key or parts.ids.new().hex, JobParams(**asked))
        if not no_wait:
            job = _wait(parts, organisation, job)
        files = _save(parts, job, out) if out is not None else []
    shown = job_out(job)
    if as_json:
        print_json(shown)
    else:
        _show(shown, files)
    if job.ended and job.state != "succeeded":
        raise click.exceptions.Exit(1)


def _order(parts: Runtime, organisation_id: UUID, key: str, params: JobParams) -> JobView:
    account_id = parts.organisations.get(organisation_id).account_id
    try:
        return parts.jobs.generate(organisation_id, account_id, key, params).job
    except InvalidInputs as error:
        faults = "\n".join(f"  {one.pointer.strip('/')}: {one.detail}" for one in error.problems)
        raise click.UsageError(f"outside the tool's bounds:\n{faults}") from error


def _wait(parts: Runtime, organisation_id: UUID, job: JobView) -> JobView:
    with progress_bar(render("job", job.job_id)) as move:
        while not job.ended:
            time.sleep(_LOOK_S)
            job = parts.jobs.get(organisation_id, job.job_id)
            move(round(_STEPS * job.progress.fraction) if job.progress else 0, _STEPS)
        move(_STEPS, _STEPS)
    return job


def _save(parts: Runtime, job: JobView, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number, output in enumerate(job.outputs, start=1):
        file = folder / f"{render('job', job.job_id)}-{number}.{output.mime.removeprefix('image/')}"
        file.write_bytes(_fetch(parts, output))
        files.append(file)
    return files


def _fetch(parts: Runtime, output: OutputView) -> bytes:
    """The picture itself: out of our own folder even where nobody serves it, else through its link."""
    if not isinstance(parts.objects, LocalObjects):
        return httpx.get(output.url, timeout=_FETCH_LIMIT_S).raise_for_status().content
    link = urlsplit(output.url)
    query = {name: values[-1] for name, values in parse_qs(link.query).items()}
    _, _, key = unquote(link.path).partition("/outputs/")
    found = parts.objects.open_link(
        key,
        until=int(query["until"]),
        file_name=query["name"],
        signature=query["signature"],
        now=parts.clock.now(),
    )
    return found.content


def _show(job: JobOut, files: list[Path]) -> None:
    why = f" ({job.error.code})" if job.error else ""
    click.echo(f"{job.job_id}  {job.state}{why}: {job.charged} of {job.price} credits charged")
    for file in files:
        click.echo(f"  {file}")
