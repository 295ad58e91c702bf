"""``tallystick statement``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import click
from psycopg_pool import ConnectionPool

from ledger.amounts import format_credits
from ledger.as_of import point_of
from ledger.drivers import Driver
from ledger.errors import InvalidRequest
from ledger.ids import parse, render
from ledger.store.past import look
from projections.lines import Line
from projections.statement import PAGE_MAX, StatementFollower, StatementReader
from tallystick.cli.common import json_option, print_json
from tallystick.cli.database import with_database
from tallystick.cli.times import TIME
from tallystick.read_models import current


@click.command("statement")
@click.option("--organisation", required=True, help="Its id, org_….")
@click.option("--account", help="Its id, acc_…; by default the organisation's first.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=50, show_default=True, help="Newest lines shown.")
@click.option("--at", type=TIME, help="As of a time: the last lines that were recorded until then.")
@json_option
def command(*, organisation: str, account: str | None, limit: int, at: datetime | None, as_json: bool) -> None:
    """What moved an account's credits, oldest line first."""
    try:
        organisation_id = parse("org", organisation)
        account_id = parse("acc", account) if account else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    with with_database() as (_, pool):
        current(StatementFollower(), Driver(pool))
        reader = StatementReader(pool)
        account_id = account_id or _first_account(reader, organisation_id)
        lines = reader.latest(organisation_id, account_id, _end(pool, at), limit).lines[::-1]
    if as_json:
        print_json({"account": render("acc", account_id), "lines": [_as_dict(line) for line in lines]})
    else:
        _show(lines)


def _end(pool: ConnectionPool, at: datetime | None) -> int | None:
    """The position before which lines are shown."""
    if at is None:
        return None
    try:
        with look(pool) as past:
            return point_of(past, None, at).position + 1
    except InvalidRequest as error:
        raise click.UsageError(error.detail) from error


def _first_account(reader: StatementReader, organisation_id: UUID) -> UUID:
    found = reader.accounts(organisation_id, UUID(int=0), 1)
    if not found:
        raise click.ClickException(f"{render('org', organisation_id)} has no account")
    return found[0].account_id


def _show(lines: list[Line]) -> None:
    click.echo(f"{'when (UTC)':20}{'what':14}{'posted by':>16}{'held by':>16}{'frozen by':>16}{'available':>16}  about")
    for line in lines:
        click.echo(
            f"{line.recorded_at:%Y-%m-%d %H:%M:%S} {line.kind:14}{format_credits(line.amount_ucr):>16}"
            f"{format_credits(line.held_change_ucr):>16}{format_credits(line.frozen_change_ucr):>16}"
            f"{format_credits(line.available_ucr):>16}  {_about(line)}"
        )


def _about(line: Line) -> str:
    """Its cause or reason, and what it belongs to; the day it was meant for, where that is another."""
    effective = f"as of {line.effective_at:%Y-%m-%d}" if line.effective_at.date() != line.recorded_at.date() else ""
    owed = f"owed {format_credits(line.debt_ucr)}" if line.debt_change_ucr else ""
    return " ".join(part for part in (line.detail, line.reference or line.subject, owed, effective) if part)


def _as_dict(line: Line) -> dict[str, Any]:
    return {
        "position": line.position,
        "kind": line.kind,
        "amount": format_credits(line.amount_ucr),
        "held_change": format_credits(line.held_change_ucr),
        "frozen_change": format_credits(line.frozen_change_ucr),
        "debt_change": format_credits(line.debt_change_ucr),
        "posted": format_credits(line.posted_ucr),
        "held": format_credits(line.held_ucr),
        "frozen": format_credits(line.frozen_ucr),
        "debt": format_credits(line.debt_ucr),
        "available": format_credits(line.available_ucr),
        "subject": line.subject,
        "reference": line.reference,
        "detail": line.detail,
        "recorded_at": line.recorded_at,
        "effective_at": line.effective_at,
    }
