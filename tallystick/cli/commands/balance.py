"""``tallystick balance``."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import click
from msgspec import Struct

from api.views.balance import BalanceOut, balance_out
from ledger.amounts import format_credits
from ledger.errors import InvalidRequest, Refusal
from ledger.ids import render
from ledger.ports import Balance, GrantView, PostedEffective
from ledger.store.reads import PostgresReader
from tallystick.cli.common import json_option, print_json
from tallystick.cli.database import with_database
from tallystick.cli.parts import print_facts, read_id
from tallystick.cli.times import TIME


class PostedOut(Struct, frozen=True, kw_only=True):
    """What was posted by effective time, by all that is recorded up to a position."""

    account_id: str
    posted: str
    at: datetime
    log_position: int


class Points(Struct, frozen=True, kw_only=True):
    """As of when: one of them, or none for now."""

    at_position: int | None
    at: datetime | None
    effective: datetime | None


@click.command("balance")
@click.argument("account", callback=read_id("acc"))
@click.option("--at-position", type=click.IntRange(1), help="As of a position of the log.")
@click.option("--at", type=TIME, help="As of what was recorded until a time.")
@click.option("--effective", type=TIME, help="Posted as of an effective time, by all that is recorded now.")
@json_option
def command(*, account: UUID, as_json: bool, **points: datetime | int | None) -> None:
    """What an account has, or had: ACCOUNT is its id, acc_…."""
    asked = Points(**points)  # type: ignore[arg-type]  click passes one of each
    if sum(point is not None for point in points.values()) > 1:
        raise click.UsageError("--at-position, --at and --effective exclude each other")
    with with_database() as (_, pool):
        found = _ask(PostgresReader(pool), account, asked)
    if found is None:
        raise click.ClickException(f"there is no {render('acc', account)}{'' if asked == _NOW else ' as of then'}")
    if as_json:
        print_json(_out(found))
    else:
        _show(found)


_NOW = Points(at_position=None, at=None, effective=None)


def _ask(reader: PostgresReader, account_id: UUID, asked: Points) -> Balance | PostedEffective | None:
    try:
        if asked.effective is not None:
            return reader.posted_effective(account_id, asked.effective)
        if asked == _NOW:
            return reader.balance(account_id)
        return reader.balance_at(account_id, position=asked.at_position, recorded_at=asked.at)
    except InvalidRequest as error:
        raise click.UsageError(error.detail) from error
    except Refusal as error:
        raise click.ClickException(error.code) from error


def _out(found: Balance | PostedEffective) -> BalanceOut | PostedOut:
    if isinstance(found, Balance):
        return balance_out(found)
    return PostedOut(
        account_id=render("acc", found.account_id),
        posted=format_credits(found.posted_ucr),
        at=found.at,
        log_position=found.log_position,
    )


def _show(found: Balance | PostedEffective) -> None:
    facts = {"at": _utc(found.at), "position": found.log_position, "posted": format_credits(found.posted_ucr)}
    if isinstance(found, Balance):
        facts |= {
            "held": f"{format_credits(found.held_ucr)} in {found.open_holds} open holds",
            "frozen": format_credits(found.frozen_ucr),
            "available": format_credits(found.available_ucr),
        }
    print_facts(facts, as_json=False)
    for grant in found.grants if isinstance(found, Balance) else ():
        click.echo(f"  {grant.kind:13}{_amounts(grant)}, {_end(grant, found.at)}")


def _amounts(grant: GrantView) -> str:
    free = f"{format_credits(grant.free_ucr):>16} free"
    pinned = (("held", grant.held_ucr), ("frozen", grant.frozen_ucr))
    more = "".join(f", {format_credits(amount_ucr)} {what}" for what, amount_ucr in pinned if amount_ucr)
    return f"{free}{more} of {format_credits(grant.granted_ucr)}"


def _end(grant: GrantView, at: datetime) -> str:
    if grant.expires_at is None:
        return "never ends"
    return f"{'ended' if grant.expires_at <= at else 'ends'} {_utc(grant.expires_at)}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
