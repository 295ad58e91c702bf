"""``tallystick topup``."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import click

from api.errors import Invalid
from api.views.topups import TopUpIn, TopUpOut, topup_out
from ledger.ids import parse
from payments.opening import OpenTopUp
from payments.sandbox.books import RAIL
from tallystick.cli.common import json_option, print_json
from tallystick.cli.parts import organisation_option, with_parts
from tallystick.wiring import Runtime

_PAY_LIMIT_S = 30.0
_LOOK_S = 0.2


@click.command("topup")
@organisation_option
@click.option("--rail", default=RAIL, show_default=True, help="Where to pay.")
@click.option("--pack", help="A pack, by id.")
@click.option("--credits", help="Exactly these credits, as a decimal number.")
@click.option("--amount", "amount_minor", type=int, help="What to pay before tax, in the currency's minor unit.")
@click.option("--idempotency-key", help="The same text never opens a second top-up.")
@click.option("--pay", is_flag=True, help="Pay it at once at the sandbox's desk, and wait for the credits.")
@json_option
def command(*, organisation: UUID, idempotency_key: str | None, pay: bool, as_json: bool, **asked: Any) -> None:
    """Order credits, and say how to pay for them."""
    wanted = TopUpIn(**asked)
    with with_parts() as parts:
        shown = _open(parts, organisation, wanted, idempotency_key or parts.ids.new().hex)
        if pay:
            shown = _pay(parts, organisation, shown)
    if as_json:
        print_json(shown)
    else:
        _show(shown)


def _open(parts: Runtime, organisation_id: UUID, wanted: TopUpIn, key: str) -> TopUpOut:
    try:
        product = wanted.product()
    except Invalid as error:
        raise click.UsageError(error.detail) from error
    account_id = parts.organisations.get(organisation_id).account_id
    asked = OpenTopUp(
        organisation_id=organisation_id, account_id=account_id, key=key, product=product, rail=wanted.rail
    )
    return topup_out(parts.topups.open(asked))


def _pay(parts: Runtime, organisation_id: UUID, topup: TopUpOut) -> TopUpOut:
    if parts.desk is None or topup.charge is None or topup.rail != RAIL:
        raise click.UsageError("--pay works for open top-ups on the sandbox, where TALLYSTICK_SANDBOX is true")
    parts.desk.pay(topup.charge.ref)
    deadline_s = parts.clock.monotonic_s() + _PAY_LIMIT_S
    topup_id = parse("top", topup.topup_id)
    while parts.clock.monotonic_s() < deadline_s:
        parts.settler.settle_everything()
        found = topup_out(parts.topups.get(organisation_id, topup_id))
        if found.state == "credited":
            return found
        time.sleep(_LOOK_S)
    raise click.ClickException(f"{topup.topup_id} was paid but is not credited after {_PAY_LIMIT_S:.0f} s")


def _show(topup: TopUpOut) -> None:
    quote = topup.quote
    price = f"{quote.gross_minor / 100:.2f} {quote.currency}"
    click.echo(f"{topup.topup_id}  {topup.state}: {quote.credits} credits for {price}")
    if topup.state != "credited" and topup.charge is not None:
        how = topup.charge.url or topup.charge.bolt11 or topup.charge.uri or topup.charge.address
        click.echo(f"pay until {topup.charge.expires_at:%Y-%m-%d %H:%M:%S} UTC: {how}")
