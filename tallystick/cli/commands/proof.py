"""``tallystick proof …``."""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ledger.drivers import Driver, catch_up
from ledger.proof import proofs
from ledger.proof.errors import NotCovered, ProofError
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import HeadLine, Keyring, SignedHead, check_signature, line_of
from ledger.proof.reading import Reading
from ledger.proof.statements import SNAPSHOT
from ledger.proof.taking import check_continues, keep_head, latest_head, take_head
from ledger.sansio import Core, Run
from projections.statement import StatementFollower, is_line
from tallystick.cli.database import with_database
from tallystick.clock import SystemClock
from tallystick.errors import TallystickError
from tallystick.heads import head_keys, heads_place
from tallystick.read_models import current
from tallystick.settings import Settings
from tallystick.vaults import open_heads

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_SINCE = "Prove it under the head of this size that was exported, and that a later head goes on from that one."
_NEAREST = 4


@click.group("proof")
def command() -> None:
    """What shows others that an event is in the log, in JSON that they check offline."""


def _out(function: F) -> F:
    path = click.Path(path_type=Path, dir_okay=False, writable=True)
    return click.option("--out", type=path, help="File to write; by default standard output.")(function)


@command.command("event")
@click.argument("position", type=click.IntRange(1))
@click.option("--since", type=click.IntRange(1), help=_SINCE)
@_out
def event_command(*, position: int, since: int | None, out: Path | None) -> None:
    """One event of the log under a signed head."""
    with _told() as (settings, driver):
        _write(_event_proof(settings, driver, position, since), out)


@command.command("statement-line")
@click.argument("position", type=click.IntRange(1))
@_out
def line_command(*, position: int, out: Path | None) -> None:
    """A line of a statement, by its position, under a signed head."""
    with _told() as (settings, driver):
        current(StatementFollower(), driver)
        if not driver.drive(is_line(position)):
            raise click.ClickException(f"no statement has a line at {position}")
        _write(_event_proof(settings, driver, position, None), out)


@command.command("head")
@_out
def head_command(*, out: Path | None) -> None:
    """The head of the log, signed now."""
    with _told() as (settings, driver):
        _write(line_of(_head(settings, driver, 0)), out)


@command.command("consistency")
@click.argument("size1", type=click.IntRange(1))
@click.argument("size2", type=click.IntRange(1))
@_out
def consistency_command(*, size1: int, size2: int, out: Path | None) -> None:
    """That the log of SIZE1 events is how the log of SIZE2 events began."""
    if size1 > size2:
        raise click.BadParameter("SIZE1 is at most SIZE2")
    with _told() as (settings, driver):
        head = _head(settings, driver, size2)
        signed = head if head.head.size == size2 else None
        _write(driver.drive(_in_snapshot(proofs.consistency_proof(size1, size2, signed))), out)


@command.command("verifier")
@_out
def verifier_command(*, out: Path | None) -> None:
    """The program with which others check a proof: one file that needs Python and the package cryptography."""
    text = importlib.resources.files("ledger.proof").joinpath("verify_proof.py").read_bytes()
    _put(text, out)


@contextlib.contextmanager
def _told() -> Generator[tuple[Settings, Driver]]:
    with with_database() as (settings, pool):
        driver = Driver(pool)
        catch_up(driver, [ProofFollower()])
        try:
            yield settings, driver
        except (ProofError, TallystickError) as error:
            raise click.ClickException(str(error)) from error


def _event_proof(settings: Settings, driver: Driver, position: int, since: int | None) -> proofs.EventProof:
    if since is not None:
        return _proof_since(settings, driver, position, since)
    signed = _head(settings, driver, position)
    return driver.drive(_in_snapshot(proofs.event_proof(position, signed, head_keys(settings).keyring())))


def _proof_since(settings: Settings, driver: Driver, position: int, since: int) -> proofs.EventProof:
    """A proof under an exported head, with a later head if the log has gone on.

    :raises LogDiffers: it does not go on from that head: it is shorter, or another.
    """
    if position > since:
        raise click.ClickException(
            f"event {position} came after the head of size {since}: name a head of at least {position} events, or none"
        )
    earlier = _exported_head(settings, since)
    proof = driver.drive(_in_snapshot(_under(earlier, position, head_keys(settings).keyring())))
    try:
        signed = _head(settings, driver, since + 1)
    except NotCovered:
        _tell(f"the log has not gone on from the head of size {since}: there is no later one to prove")
        return proof
    if signed.key_id != earlier.key_id:
        _tell(f"the heads are under two keys, and both are needed to check it: {earlier.key_id} and {signed.key_id}")
    later = driver.drive(_in_snapshot(proofs.consistency_proof(since, signed.head.size, signed)))
    return msgspec.structs.replace(proof, later=proofs.Later(path=later.path, head=line_of(signed)))


def _under(earlier: SignedHead, position: int, keys: Keyring) -> Reading[proofs.EventProof]:
    yield from check_continues(earlier.head)
    return (yield from proofs.event_proof(position, earlier, keys))


def _tell(what: str) -> None:
    """Tell something that is no part of the proof."""
    click.echo(f"note  {what}", err=True)


def _head(settings: Settings, driver: Driver, size: int) -> SignedHead:
    """The head that is signed already if it reaches so far, else one signed now."""
    keys = head_keys(settings)
    found = driver.drive(latest_head())
    if size and found is not None and found.head.size >= size and found.key_id in keys.keyring():
        return found
    head = driver.drive(take_head(SystemClock().now(), found.head if found else None))
    if head.size < size:
        raise NotCovered(size, head.size)
    signed = keys.signer(make=True).sign(head)
    driver.drive(keep_head(signed))
    return signed


def _exported_head(settings: Settings, size: int) -> SignedHead:
    kept = {one.head.size: one for one in open_heads(heads_place(settings), settings).heads()}
    if size not in kept:
        nearest = sorted(sorted(kept, key=lambda one: abs(one - size))[:_NEAREST])
        where = f"; the nearest are of {', '.join(map(str, nearest))} events" if nearest else ""
        raise click.ClickException(f"no head of size {size} was exported{where}")
    check_signature(kept[size], head_keys(settings).keyring())
    return kept[size]


def _in_snapshot(reading: Reading[T]) -> Core[T]:
    yield Run(SNAPSHOT, {})
    return (yield from reading)


def _write(proof: proofs.EventProof | proofs.ConsistencyProof | HeadLine, out: Path | None) -> None:
    _put(proofs.encode(proof), out)


def _put(content: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(content, nl=False)
    else:
        out.write_bytes(content)
        click.echo(str(out))
