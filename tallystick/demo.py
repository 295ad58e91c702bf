"""Tells one credit's whole life with real figures, on servers, processes and folders of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from ledger.errors import LedgerError
from projections.errors import ProjectionError
from tallystick.demo_client import Customer, Unexpected
from tallystick.demo_story import Step, Story
from tallystick.embedded import folders
from tallystick.errors import TallystickError
from tallystick.run_site import Site, check_rails, running_site
from tallystick.settings import Settings

_EXPECTED = (Unexpected, TallystickError, ProjectionError, LedgerError, httpx.HTTPError, psycopg.Error, OSError)
_COLUMNS = (("what", "left"), ("posted by", "right"), ("held by", "right"), ("available", "right"), ("about", "left"))


class Failed(Exception):
    """A step did not do what it should; ``step`` names it."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


def tell(settings: Settings, console: Console) -> bool:
    """Live the story; whether it ended well. Call it from the main thread.

    Servers live in a new folder, which is removed if all went well; picture and books stay in ``<data folder>/demo``.

    :raises NotReady: the settings name real money.
    """
    check_rails(settings.with_values(sandbox=True))
    started = time.monotonic()
    out = settings.data_dir / "demo"
    folder = Path(tempfile.mkdtemp(prefix="tallystick-demo-"))
    folder.rmdir()
    folders.make_data_folder(folder)
    own = settings.with_values(data_dir=folder, port=0, sandbox=True)
    console.print("[bold]One credit's whole life[/bold]\n")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with running_site(own, lambda what: _note(console, f"starting {what} …" if what else "")) as site:
            _said(console, Step("start", str), _beginning(site, time.monotonic() - started))
            _live(site, out, console)
    except (Failed, *_EXPECTED) as error:
        step = error.step if isinstance(error, Failed) else "start"
        console.print(
            f"\n[red bold]failed[/red bold] at step [bold]{step}[/bold]: {error}", highlight=False, soft_wrap=True
        )
        console.print(f"logs and data: {folder}", highlight=False, soft_wrap=True)
        return False
    shutil.rmtree(folder, ignore_errors=True)
    console.print(f"\n[green bold]done[/green bold] after {time.monotonic() - started:.0f} s; nothing is left running")
    return True


def _beginning(site: Site, seconds: float) -> str:
    parts = ["PostgreSQL", "Redis", *(child.program.name for child in site.supervisor.children)]
    return f"{', '.join(parts)} after {seconds:.1f} s: {site.url}"


def _live(site: Site, out: Path, console: Console) -> None:
    customer = Customer(site.url)
    try:
        with _bar(console) as bar:
            task = bar.add_task("", total=1.0, visible=False)

            def move(share: float) -> None:
                bar.update(task, completed=share, visible=share < 1, refresh=share >= 1)

            story = Story(customer, site.settings, out, move)
            for step in story.steps():
                _said(console, step, _done(site, step))
                if step.name == "statement":
                    console.print(_table(story.lines))
    finally:
        customer.close()


def _done(site: Site, step: Step) -> str:
    """Do a step; what a part of ours that has died in it said belongs to the reason."""
    try:
        return step.do()
    except _EXPECTED as error:
        try:
            for child in site.supervisor.children:
                site.supervisor.check(child)
        except TallystickError as died:
            raise Failed(step.name, f"{error}; {died}") from error
        raise Failed(step.name, str(error)) from error


def _bar(console: Console) -> Progress:
    columns = (TextColumn("   [dim]painting[/dim]  "), BarColumn(), TaskProgressColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _said(console: Console, step: Step, words: str) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=9, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(step.name, words)
    console.print(grid, highlight=False)


def _note(console: Console, words: str) -> None:
    if console.is_terminal and words:
        console.print(f"[dim]{words}[/dim]", highlight=False)


def _table(lines: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("", width=7)
    for name, side in _COLUMNS:
        table.add_column(name, justify="right" if side == "right" else "left")
    for line in lines:
        about = line["detail"] or line["job_id"] or line["topup_id"] or line["subject_id"]
        table.add_row("", line["kind"], line["amount"], line["held_change"], line["available"], about)
    return table
