"""A site to be measured: the writer and the API, each a process of its own as the product runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

import httpx
import uvloop
from msgspec import Struct

from api.app import create_app
from api.server import bind
from customers.domain.scopes import CUSTOMER_SCOPES
from ledger.domain.commands import GrantCredits
from ledger.ports import Request
from tallystick.bench.processes import CONTEXT
from tallystick.cli.commands.serve import serve
from tallystick.cli.commands.write import write
from tallystick.pages import pages_of
from tallystick.run_process import parts_of
from tallystick.settings import Settings
from tallystick.telemetry.http import SeenApplication
from tallystick.wiring import build, make_services
from tallystick.writing import unavailable

ENOUGH_UCR = 10**14
ORGANISATIONS = 8
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
    with _process(_write, settings) as process:
        _until(lambda: unavailable(settings) is None)
        assert process.pid is not None
        yield process.pid


@contextlib.contextmanager
def serving(settings: Settings, server: str) -> Generator[Site]:
    """The API on one server while the block runs; ``server`` is ``uvicorn`` or ``granian``."""
    keys = _customers(settings)
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listening.close()
    at = settings.with_values(host="127.0.0.1", port=port)
    with _process(_serve_uvicorn if server == "uvicorn" else _serve_granian, at) as process:
        _until(lambda: _ready(f"http://127.0.0.1:{port}/readyz"))
        assert process.pid is not None
        yield Site("127.0.0.1", port, process.pid, keys)


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


def _write(settings: Settings) -> None:
    _quiet()
    write(settings)


def _serve_uvicorn(settings: Settings) -> None:
    _quiet()
    serve(settings, background=False)


def _serve_granian(settings: Settings) -> None:
    """The same application behind the other server."""
    from granian.constants import Interfaces  # noqa: PLC0415  measured where it is installed, needed nowhere
    from granian.server.embed import Server  # noqa: PLC0415

    _quiet()
    with parts_of(settings, "api") as parts:
        services = make_services(parts)
        app = SeenApplication(create_app(services, pages_of(parts)), parts.telemetry, parts.ids)
        server = Server(
            app, settings.host, settings.port, interface=Interfaces.ASGI, websockets=False, log_enabled=False
        )

        async def run() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
            await server.serve()

        uvloop.run(run())
        services.crossing.close()


def _quiet() -> None:
    """Logs are written as always, and go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


@contextlib.contextmanager
def _process(target: Callable[[Settings], None], settings: Settings) -> Generator[BaseProcess]:
    process = CONTEXT.Process(target=target, args=(settings,))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(_STOP_S)
        if process.is_alive():
            process.kill()
            process.join()


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


def private(settings: Settings, database_url: str, folder: Path) -> Settings:
    """The settings of a site on a database of its own."""
    return settings.with_values(
        data_dir=folder, database_url=database_url, database_owner_url=database_url, database_writer_url=None
    )
