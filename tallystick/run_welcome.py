"""For whoever runs this for the first time: an organisation, a key that works, and credits to try it with."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from customers.domain.organisations import Organisation
from customers.domain.scopes import CUSTOMER_SCOPES
from customers.errors import KeyRejected
from ledger.ids import render
from payments.domain.products import PackProduct
from payments.opening import OpenTopUp
from payments.sandbox.books import RAIL
from payments.sandbox.desk import SandboxDesk
from tallystick.errors import NotReady
from tallystick.run_site import Site
from tallystick.wiring import Runtime, build

KEPT = "first-key.json"
"""File in the data folder, readable by us alone: a key's secret is nowhere else."""

_SIGNUP_KEY = "first-organisation"
_NAME = "First organisation"
_CREDITED_LIMIT_S = 20.0
_LOOK_S = 0.1


class Welcome(Struct, frozen=True):
    """An organisation and a key of it, both as text."""

    organisation: str
    key: str


def welcome(site: Site) -> Welcome:
    """The organisation of this data folder with a key that is good; made, and given credits, the first time."""
    parts = build(site.settings)
    try:
        return _kept(parts, site.settings.data_dir / KEPT) or _made(parts, site.settings.data_dir / KEPT)
    finally:
        parts.close()


def _kept(parts: Runtime, file: Path) -> Welcome | None:
    """The key of an earlier run, where it is still good."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Welcome)
        parts.keys.verify(found.key)
    except (FileNotFoundError, msgspec.DecodeError, KeyRejected):
        return None
    return found


def _made(parts: Runtime, file: Path) -> Welcome:
    organisation = parts.organisations.sign_up(_SIGNUP_KEY, _NAME).organisation
    made = parts.keys.create(organisation.organisation_id, "first key", CUSTOMER_SCOPES)
    found = Welcome(render("org", organisation.organisation_id), made.secret)
    _write(file, found)
    if parts.desk is not None:
        top_up(parts, parts.desk, organisation)
    return found


def top_up(parts: Runtime, desk: SandboxDesk, organisation: Organisation) -> None:
    """Buy the smallest pack with the sandbox's money, once; returns when it is credited.

    :raises NotReady: it is not, within the time.
    """
    pack = parts.topups.price_book().packs[0]
    asked = OpenTopUp(
        organisation_id=organisation.organisation_id,
        account_id=organisation.account_id,
        key="first-top-up",
        product=PackProduct(pack.pack_id),
        rail=RAIL,
    )
    opened = parts.topups.open(asked)
    if opened.charge is not None and opened.state == "awaiting":
        desk.pay(opened.charge.instruction.ref)
    ends = parts.clock.monotonic_s() + _CREDITED_LIMIT_S
    while parts.topups.get(organisation.organisation_id, opened.topup_id).state != "credited":
        if parts.clock.monotonic_s() > ends:
            raise NotReady(f"{render('top', opened.topup_id)} was paid and is not credited: see the followers' log")
        parts.settler.settle_everything()
        time.sleep(_LOOK_S)


def _write(file: Path, found: Welcome) -> None:
    making = file.with_name(f".{file.name}")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as out:  # noqa: PTH123  by descriptor, for its mode
        out.write(msgspec.json.encode(found))
    making.replace(file)


def tries(url: str, key: str) -> list[tuple[str, str]]:
    """Lines for a shell, each with what it does."""
    show = f"curl -sS -H 'Authorization: Bearer {key}'"
    body = """{"prompt":"a lighthouse at dusk, oil on canvas","quality":"draft"}"""
    order = f"-H 'Idempotency-Key: first-job' -H 'Prefer: wait=30' -H 'Content-Type: application/json' -d '{body}'"
    return [
        ("the balance", f"{show} {url}/api/v1/balance"),
        ("a picture", f"{show} {order} {url}/api/v1/generate"),
        ("that job", f"{show} '{url}/api/v1/jobs?limit=1'"),
    ]
