"""Where this installation keeps its signed heads and the keys that sign them, and what keeps them coming."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ledger.drivers import Driver
from ledger.ports import Clock
from ledger.proof.errors import BadFile
from ledger.proof.exporter import EVERY_S, HeadExporter
from ledger.proof.heads import Head, SignedHead, check_signature
from tallystick.chores import Chore, Chores
from tallystick.head_keys import HeadKeys
from tallystick.settings import Settings
from tallystick.telemetry.core import Telemetry
from tallystick.vaults import heads_in_file, heads_in_folder, open_heads

_OFTEN_S = EVERY_S / 2


def head_keys(settings: Settings) -> HeadKeys:
    """The keys, in the folder that is set, else in the data folder."""
    return HeadKeys(settings.head_keys or settings.data_dir / "head-keys")


def heads_place(settings: Settings) -> str:
    """Where heads go: as set, else a folder outside the database, in the data folder."""
    return settings.heads_to or str(settings.data_dir / "heads")


def read_heads(places: Sequence[str], settings: Settings) -> list[Head]:
    """Heads kept at places (a folder, ``s3://bucket/prefix`` or one file), each checked against the keys we have.

    Without a place those of this installation, of which there may be none yet; a place that is named has one.

    :raises BadSignature: one that none of our keys signed.
    :raises BadFile, VaultUnavailable: a place that has none, or that cannot be read.
    """
    if places:
        found = [signed for place in places for signed in _heads_at(place, settings)]
    else:
        found = list(open_heads(heads_place(settings), settings).heads())
    keys = head_keys(settings).keyring()
    for signed in found:
        check_signature(signed, keys)
    return [signed.head for signed in found]


def _heads_at(place: str, settings: Settings) -> list[SignedHead]:
    if place.startswith("s3://"):
        found = list(open_heads(place, settings).heads())
    else:
        found = list((heads_in_folder if Path(place).is_dir() else heads_in_file)(Path(place)))
    if not found:
        raise BadFile(f"there is no signed head at {place}")
    return found


def head_chores(settings: Settings, driver: Driver, clock: Clock, telemetry: Telemetry) -> Chores:
    """A thread that signs and keeps heads, twice as often as promised; a slow store hinders nothing else."""
    target = open_heads(heads_place(settings), settings)
    exporter = HeadExporter(driver, target, head_keys(settings).signer(make=True), clock)
    telemetry.gauge(
        "tallystick.heads.age",
        "s",
        "age of the signed head that was kept last",
        lambda: [] if (age_s := exporter.age_s()) is None else [(age_s, {})],
    )
    return Chores((Chore("signed heads", _OFTEN_S, exporter.export_or_tell),), clock)
