"""A site to be measured: the writer and the API, each a process of its own as the product runs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
from msgspec import Struct

from api.server import bind
from customers.domain.scopes import CUSTOMER_SCOPES
from ledger.domain.commands import GrantCredits
from ledger.ports import Request
from tallystick.settings import Settings, variables
from tallystick.wiring import build
from tallystick.writer_probe import unavailable

ENOUGH_UCR = 10**14
ORGANISATIONS = 8
_PROGRAMS = {"uvicorn": ("tallystick", "serve", "--http-only"), "granian": ("tallystick.bench.http_granian",)}
_START_S = 60.0
_STOP_S = 15.0


class Site(Struct, frozen=True):
    """Where it answers, its process, and the keys of its organisations."""

    host: str
    port: int
    pid: int
    keys: list[str]


@contextlib.contextmanager
def writing(settings: Settings) -> Generator[int]:
    """A writer while the block runs; its process."""
    with _process(settings, "tallystick", "write") as pid:
        _until(lambda: unavailable(settings) is None)
        yield pid


@contextlib.contextmanager
def serving(settings: Settings, server: str) -> Generator[Site]:
    """The API on one server while the block runs; ``server`` is ``uvicorn`` or ``granian``."""
    keys = _customers(settings)
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listening.close()
    at = settings.with_values(host="127.0.0.1", port=port)
    with _process(at, *_PROGRAMS[server]) as pid:
        _until(lambda: _ready(f"http://127.0.0.1:{port}/readyz"))
        yield Site("127.0.0.1", port, pid, keys)


def _customers(settings: Settings) -> list[str]:
    parts = build(settings, remote=True)
    try:
        keys: list[str] = []
        for number in range(ORGANISATIONS):
            organisation = parts.organisations.sign_up(uuid4().hex, f"customer {number}").organisation
            account_id = organisation.account_id
            command = GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=ENOUGH_UCR, kind="promo")
            parts.ledger.submit(Request(key=uuid4().hex, operation="grant", command=command))
            keys.append(parts.keys.create(organisation.organisation_id, "bench", CUSTOMER_SCOPES).secret)
        return keys
    finally:
        parts.close()


@contextlib.contextmanager
def _process(settings: Settings, *words: str) -> Generator[int]:
    """A program of ours that ends with us; its logs are written as always, and go nowhere."""
    told = {
        variable.name: str(value)
        for field, variable in variables().items()
        if (value := getattr(settings, field)) is not None and value != variable.default
    }
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-m", "tallystick.run_child", *words],
        env={**os.environ, **told},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(there: Callable[[], bool]) -> None:
    ends = time.monotonic() + _START_S
    while not there():
        assert time.monotonic() < ends, "a part of the site does not start"
        time.sleep(0.05)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def private(settings: Settings, schema: str, folder: Path) -> Settings:
    """The settings of a site in a schema of its own."""
    owner_url = settings.database_owner_url
    assert owner_url is not None
    url = f"{owner_url}{'&' if '?' in owner_url else '?'}options={quote(f'-c search_path={schema}')}"
    return settings.with_values(data_dir=folder, database_url=url, database_owner_url=url, database_writer_url=None)
