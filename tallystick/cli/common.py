"""What commands share: settings with running services, and output for people or for programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import click
import msgspec

from tallystick import settings as settings_module
from tallystick.embedded.services import services
from tallystick.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Give a command ``--json``, passed as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


@contextlib.contextmanager
def running(*, share: bool = True) -> Generator[Settings]:
    """The settings with every address known, embedded servers running while the block does (see ``services``)."""
    with services(settings_module.load(), share=share) as found:
        yield found


def print_json(value: Any) -> None:
    """Print any structure as one line of JSON."""
    click.echo(msgspec.json.encode(value))


@contextlib.contextmanager
def progress_bar(label: str) -> Generator[Callable[[int, int], None]]:
    """A bar on standard error, where that is a terminal; moved by calls with what is done and how much there is."""
    with click.progressbar(length=0, label=label, file=sys.stderr) as bar:

        def move(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield move


def ok_mark(*, ok: bool) -> str:
    """A coloured word that begins a line about a check."""
    return click.style("ok  ", fg="green") if ok else click.style("FAIL", fg="red")
