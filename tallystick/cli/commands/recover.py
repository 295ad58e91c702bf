"""``tallystick recover``."""

from __future__ import annotations

import sys
from uuid import UUID

import click
import msgspec

from api.ledger.bodies import Code
from ledger.domain.verdicts import Done
from ledger.drivers import Driver, catch_up
from ledger.proof.errors import ProofError
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import Head
from ledger.proof.recovery import Comparison, Loss, admission, compare
from ledger.proof.taking import at
from tallystick.cli.common import json_option, ok_mark, print_json
from tallystick.cli.parts import with_parts
from tallystick.heads import read_heads
from tallystick.wiring import Runtime

_SHOWN = 10
"""Heads that are named one by one: there is one a minute."""


def _read_code(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Callback of a reason: what it says stays in the log for ever, so that it is a code and nothing else."""
    try:
        return msgspec.convert(text, Code)
    except msgspec.ValidationError as error:
        raise click.BadParameter("expected a code such as restored-backup, never a sentence or a name") from error


@click.command("recover")
@click.option(
    "--head",
    "places",
    multiple=True,
    help="Exported heads: a file, a folder or s3://bucket/prefix; by default where this installation keeps them.",
)
@click.option("--accept", is_flag=True, help="Write into the log that the tail is lost, and go on from here.")
@click.option("--operator", type=click.UUID, help="Who accepts it.")
@click.option(
    "--reason", default="restored-backup", show_default=True, callback=_read_code, help="Why, as a code: a-z, 0-9, ._-"
)
@json_option
def command(*, places: tuple[str, ...], accept: bool, operator: UUID | None, reason: str, as_json: bool) -> None:
    """Compare the log with the heads kept elsewhere after a restored backup or failover; nothing is repaired."""
    if accept and operator is None:
        raise click.BadParameter("an operator's id is needed to accept a loss", param_hint="--operator")
    with with_parts() as parts:
        try:
            found = _compare(parts, places)
            if accept and operator is not None and found.loss is not None:
                _accept(parts, found, operator, reason)
                found = _compare(parts, places)
        except ProofError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        print_json(_as_dict(found))
    else:
        _show(found)
    sys.exit(1 if found.loss else 0)


def _compare(parts: Runtime, places: tuple[str, ...]) -> Comparison:
    driver = Driver(parts.pool)
    catch_up(driver, [ProofFollower()])
    heads = read_heads(places, parts.settings)
    return driver.drive(compare(heads))


def _accept(parts: Runtime, found: Comparison, operator: UUID, reason: str) -> None:
    assert found.loss is not None
    answer = parts.ledger.submit(admission(found.loss, found.forks_version, operator, reason))
    if not isinstance(answer.verdict, Done):
        raise click.ClickException(f"the ledger refuses: {answer.verdict.code}")


def _show(found: Comparison) -> None:
    for fork in found.forks:
        click.echo(f"note  event {fork.position} admits that what lay behind {fork.kept}, up to {fork.size}, is lost")
    if found.loss is None:
        click.echo(f"{ok_mark(ok=True)}  the log of {found.log_size} events goes on from {found.heads} signed heads")
        return
    _show_loss(found.loss)


def _show_loss(loss: Loss) -> None:
    for head in loss.heads[:_SHOWN]:
        click.echo(
            f"{ok_mark(ok=False)}  not the log's: the head {head.root.hex()[:16]} of size {head.size}, {_when(head)}"
        )
    if len(loss.heads) > _SHOWN:
        click.echo(f"{ok_mark(ok=False)}  and {len(loss.heads) - _SHOWN} more; --json names them all")
    click.echo(
        f"{ok_mark(ok=False)}  a head was signed at size {loss.size}; the log has {loss.log_size} events and is sure "
        f"to be the same up to {loss.kept} only. Restore a copy that has the rest, or own up to the loss with "
        "--accept --operator ID."
    )


def _when(head: Head) -> str:
    return f"signed {at(head.signed_at_us).isoformat(timespec='seconds')}"


def _as_dict(found: Comparison) -> dict[str, object]:
    loss = found.loss
    return {
        "ok": loss is None,
        "log_size": found.log_size,
        "heads": found.heads,
        "loss": _loss_as_dict(loss) if loss else None,
        "forks": [{"position": fork.position, "kept": fork.kept, "size": fork.size} for fork in found.forks],
    }


def _loss_as_dict(loss: Loss) -> dict[str, object]:
    heads = [{"size": one.size, "root": one.root.hex(), "signed_at_us": one.signed_at_us} for one in loss.heads]
    return {"kept": loss.kept, "size": loss.size, "root": loss.root.hex(), "heads": heads}
