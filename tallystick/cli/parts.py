"""For commands that work on the program's parts: the parts themselves, ids as options, facts as output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar
from uuid import UUID

import click

from customers.errors import CustomersError
from ledger.errors import LedgerError
from ledger.ids import parse
from payments.errors import PaymentsError
from tallystick.cli.common import print_json, running
from tallystick.schema import require_migrated
from tallystick.wiring import Runtime, build
from workers.errors import WorkersError

F = TypeVar("F", bound=Callable[..., Any])


@contextlib.contextmanager
def with_parts() -> Generator[Runtime]:
    """The program's parts while the block runs; a refusal ends the command with a line."""
    with running() as settings:
        require_migrated(settings)
        parts = build(settings)
        try:
            yield parts
        except (CustomersError, PaymentsError, WorkersError, LedgerError) as error:
            raise click.ClickException(_words(error)) from error
        finally:
            parts.close()


def _words(error: Exception) -> str:
    facts: Mapping[str, Any] = getattr(error, "facts", {})
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    text = getattr(error, "code", "") or str(error)
    return f"{text}: {told}" if told else str(error)


def read_id(kind: str) -> Callable[[click.Context, click.Parameter, str | None], UUID | None]:
    """Callback of a parameter that is an id of one kind."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> UUID | None:
        try:
            return None if text is None else parse(kind, text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def organisation_option(function: F) -> F:
    """Give a command ``--organisation``, passed as a UUID."""
    return click.option("--organisation", required=True, callback=read_id("org"), help="Its id, org_….")(function)


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values, a line each, or as JSON."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:14}{value}")
