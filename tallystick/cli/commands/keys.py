"""``tallystick keys …``."""

from __future__ import annotations

from uuid import UUID

import click

from api.views.keys import KeyOut, key_out
from customers.domain.keys import ApiKey
from customers.domain.scopes import CUSTOMER_SCOPES, MEANINGS
from customers.limits import OVERLAP_DEFAULT_S, OVERLAP_MAX_S
from ledger.ids import render
from tallystick.cli.common import json_option, print_json
from tallystick.cli.parts import organisation_option, print_facts, read_id, with_parts

_DAY_S = 24 * 3600


@click.group("keys")
def command() -> None:
    """Sign organisations up, and make, list, rotate and revoke their API keys."""


@command.command("sign-up")
@click.argument("name")
@click.option("--email", help="Address of its owner.")
@click.option("--idempotency-key", help="The same text never makes a second organisation.")
@json_option
def sign_up(*, name: str, email: str | None, idempotency_key: str | None, as_json: bool) -> None:
    """Make an organisation with an account and a key that may do everything that customers may."""
    with with_parts() as parts:
        key = idempotency_key or parts.ids.new().hex
        signed = parts.organisations.sign_up(key, name, owner_email=email)
        organisation = signed.organisation
        shown = {
            "organisation": render("org", organisation.organisation_id),
            "account": render("acc", organisation.account_id),
        }
        if not parts.keys.list(organisation.organisation_id):
            shown["key"] = parts.keys.create(organisation.organisation_id, "first key", CUSTOMER_SCOPES).secret
    print_facts(shown, as_json=as_json)


@command.command("create")
@organisation_option
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(list(MEANINGS)),
    help="Repeat it; all but those for operators by default.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="How long the key lives; for ever by default.")
@json_option
def create(*, organisation: UUID, name: str, scopes: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a key. Its secret is shown here and never again."""
    with with_parts() as parts:
        lifetime_s = None if days is None else days * _DAY_S
        made = parts.keys.create(organisation, name, scopes or CUSTOMER_SCOPES, lifetime_s=lifetime_s)
    print_facts({"id": render("key", made.key.key_id), "key": made.secret}, as_json=as_json)


@command.command("list")
@organisation_option
@json_option
def list_(*, organisation: UUID, as_json: bool) -> None:
    """All keys of an organisation."""
    with with_parts() as parts:
        keys = [key_out(key, parts.clock.now()) for key in parts.keys.list(organisation)]
    if as_json:
        print_json({"keys": keys})
        return
    for key in keys:
        _show(key)


@command.command("rotate")
@click.argument("key", callback=read_id("key"))
@organisation_option
@click.option(
    "--overlap",
    "overlap_s",
    type=click.IntRange(0, OVERLAP_MAX_S),
    default=OVERLAP_DEFAULT_S,
    show_default=True,
    help="Seconds for which the old key stays good.",
)
@json_option
def rotate(*, key: UUID, organisation: UUID, overlap_s: int, as_json: bool) -> None:
    """Replace a key by one with the same scopes and end."""
    with with_parts() as parts:
        rotated = parts.keys.rotate(organisation, key, overlap_s=overlap_s)
    shown = {"id": render("key", rotated.key.key_id), "key": rotated.secret, "old_ends": _when(rotated.old)}
    print_facts(shown, as_json=as_json)


@command.command("revoke")
@click.argument("key", callback=read_id("key"))
@organisation_option
@json_option
def revoke(*, key: UUID, organisation: UUID, as_json: bool) -> None:
    """End a key, everywhere within two seconds."""
    with with_parts() as parts:
        revoked = parts.keys.revoke(organisation, key)
    print_facts({"id": render("key", revoked.key_id), "revoked_at": str(revoked.revoked_at)}, as_json=as_json)


def _when(key: ApiKey) -> str:
    return "never" if key.expires_at is None else key.expires_at.isoformat()


def _show(key: KeyOut) -> None:
    click.echo(f"{key.key_id}  {key.prefix}…{key.last_four}  {key.standing:8}  {key.name}  {' '.join(key.scopes)}")
