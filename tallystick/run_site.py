"""The whole product on one machine: servers, schema, node, API, worker and followers, for as long as a block runs."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import secrets
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from api.limits import STOP_S
from api.server import bind
from payments.errors import SandboxBesideLiveKeys
from payments.sandbox.guard import refuse_beside_live_keys
from tallystick import schema
from tallystick.embedded import folders
from tallystick.embedded.services import services
from tallystick.errors import NotReady, ServiceError
from tallystick.run_supervisor import Child, Program, Supervisor
from tallystick.settings import Settings
from tallystick.telemetry.core import CLOSE_S
from tallystick.wiring import address

_log = logging.getLogger(__name__)
_START_LIMIT_S = 60.0
_POLL_S = 0.1
_ANSWER_LIMIT_S = 2.0
_DRAIN_S = 3.0
_STOP_LIMIT_S = 7.5
"""The API cuts its streams after five seconds, a worker its jobs after three; the rest of ten is for the servers."""

assert max(STOP_S, _DRAIN_S) + CLOSE_S < _STOP_LIMIT_S, "also with a collector that does not answer"

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Where Linux says which ports it gives to whoever connects somewhere, or asks for any."""
_PORT_MIN, _PORT_MAX = 20_000, 65_535
"""Below are ports that programs are known by."""
_PORT_TRIES = 20

_METRICS = ("api", "worker", "followers", "writer")
"""Whose metrics are on the port configured, and on those after it."""

Tell = Callable[[str], None]
"""Told what is begun now, and nothing while that is waited for; may raise ``Stopped``."""


class Stopped(Exception):
    """Somebody wants it to end before it is up."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What runs. ``settings`` have every address; ``standin`` is the control address of a node without a GPU.

    ``embedded``: the database is ours, and ends with the block.
    """

    url: str
    settings: Settings
    supervisor: Supervisor
    logs: Path
    standin: str | None
    embedded: bool

    def unreachable(self) -> bool:
        """Whether the database does not answer."""
        assert self.settings.database_url is not None
        try:
            psycopg.connect(self.settings.database_url, connect_timeout=round(_ANSWER_LIMIT_S)).close()
        except psycopg.OperationalError:
            return True
        return False


@contextlib.contextmanager
def running_site(settings: Settings, tell: Tell) -> Generator[Site]:
    """Run everything while the block does. Call it from the main thread.

    :raises Stopped: by ``tell``.
    :raises NotReady: the sandbox would stand beside real money.
    :raises DataFolderBusy: another one runs in this data folder.
    :raises ServiceError: a part does not start, or the address is taken; the message names its log.
    """
    settings = settings.with_values(sandbox=settings.sandbox or _may_play(settings))
    check_rails(settings)
    settings = settings.with_values(port=free_port(settings))
    with contextlib.ExitStack() as stack:
        embedded = settings.embeds_postgres
        if not embedded and not settings.embeds_redis:
            folders.make_data_folder(settings.data_dir)
            stack.enter_context(folders.locked(settings.data_dir))
        tell("PostgreSQL and Redis" if embedded else "what is missing")
        settings = stack.enter_context(services(settings, share=False))
        tell("the schema")
        schema.migrate(settings)
        supervisor = Supervisor(settings.data_dir / "logs")
        stack.callback(_stop, supervisor)
        standin = None
        if not settings.comfyui_nodes:
            tell("a stand-in for a GPU node")
            node, standin = _start_standin(supervisor, settings, tell)
            settings = settings.with_values(comfyui_nodes=(node,))
        tell("writer, API, worker and followers")
        site = Site(
            url=address(settings),
            settings=settings,
            supervisor=supervisor,
            logs=settings.data_dir / "logs",
            standin=standin,
            embedded=embedded,
        )
        _start_ours(site, tell)
        yield site


def check_rails(settings: Settings) -> None:
    """Refuse what no part of ours would serve, before any of them is started.

    :raises NotReady: the sandbox would stand beside real money.
    """
    try:
        refuse_beside_live_keys(settings)
    except SandboxBesideLiveKeys as error:
        raise NotReady(f"the sandbox is not for an installation with real money: {error}") from error


def _may_play(settings: Settings) -> bool:
    """Where no money can come in otherwise, one can play with the sandbox's."""
    return not (settings.live or settings.stripe_api_key or settings.lnbits_url or settings.liquid_descriptor)


def free_port(settings: Settings) -> int:
    """The port to serve on, looked at before anything is started.

    :raises ServiceError: it is taken, or the address is not ours.
    """
    try:
        with _bound(settings.host, settings.port) as found:
            return int(found.getsockname()[1])
    except OSError as error:
        hint = "set TALLYSTICK_PORT, 0 takes a free one"
        raise ServiceError("http", f"{settings.host}:{settings.port}: {error.strerror}; {hint}") from error


def _bound(host: str, port: int, *, besides: int = 0) -> socket.socket:
    """A socket as ``bind`` makes it; port 0 takes one that stays free until the program that it is for has started.

    :raises OSError: the address is taken, or not ours.
    """
    for quiet in () if port else _quiet_ports(besides):
        try:
            return bind(host, quiet)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                break  # no other port would do better
    return bind(host, port)


def _quiet_ports(besides: int) -> list[int]:
    """Some ports that the system gives to nobody by itself, by chance; none where it does not say which it gives.

    One that it gives is soon another's: each outgoing connection takes one, and we start seconds after looking.
    """
    try:
        first, last = map(int, _HANDED_OUT.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return []
    quiet = [port for port in range(_PORT_MIN, _PORT_MAX + 1) if not first <= port <= last and port != besides]
    return secrets.SystemRandom().sample(quiet, min(_PORT_TRIES, len(quiet)))


def _start_standin(supervisor: Supervisor, settings: Settings, tell: Tell) -> tuple[str, str]:
    """A node without a GPU; its address and its control address, which stay when it is started again."""
    data = settings.data_dir / "node"
    data.mkdir(exist_ok=True)
    ports = kept_ports(data / "ports.json", besides=settings.port)
    arguments = ["--port", str(ports[0]), "--control-port", str(ports[1]), "--data", str(data)]
    node = supervisor.start(Program(name="node", module="workers.standin", arguments=arguments))
    url, control_url = (f"http://127.0.0.1:{port}" for port in ports)
    _wait_until(supervisor, [node], lambda: _answers(f"{url}/queue"), tell)
    return url, control_url


def kept_ports(file: Path, *, besides: int) -> tuple[int, int]:
    """The node's two ports: those of the last run where they are free. A node is known by its address.

    ``besides`` is the port that the API is going to have.
    """
    with contextlib.suppress(OSError, ValueError):
        one, other = json.loads(file.read_text(encoding="utf-8"))
        if besides not in {one, other}:
            with bind("127.0.0.1", one), bind("127.0.0.1", other):
                return one, other
    with _bound("127.0.0.1", 0, besides=besides) as one, _bound("127.0.0.1", 0, besides=besides) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    file.write_text(json.dumps(ports), encoding="utf-8")
    return ports


def _start_ours(site: Site, tell: Tell) -> None:
    """Writer, API, worker, followers; each is given the addresses of its role only."""
    programs = {
        "writer": ("write",),
        "api": ("serve", "--http-only"),
        "worker": ("work", "--drain", str(_DRAIN_S)),
        "followers": ("follow",),
    }
    children = [
        site.supervisor.start(
            Program(
                name=name,
                module="tallystick",
                arguments=arguments,
                environment=_environment(site.settings, name) | _metrics(site.settings, name),
                stop_limit_s=_STOP_LIMIT_S,
            )
        )
        for name, arguments in programs.items()
    ]
    _wait_until(site.supervisor, children, lambda: _answers(f"{site.url}/readyz"), tell)


def _environment(settings: Settings, name: str) -> dict[str, str]:
    """What a child of ours is told; an empty value counts as absent. The writer alone may append to the log."""
    assert settings.database_url is not None and settings.redis_url is not None and settings.secret is not None
    return {
        "TALLYSTICK_DATA_DIR": str(settings.data_dir),
        "TALLYSTICK_SECRET": settings.secret,
        "TALLYSTICK_SANDBOX": "true" if settings.sandbox else "false",
        "TALLYSTICK_PORT": str(settings.port),
        "DATABASE_URL": settings.database_url,
        "DATABASE_OWNER_URL": "",
        "DATABASE_WRITER_URL": settings.writer_url if name == "writer" else "",
        "TALLYSTICK_WRITER_SOCKET": str(settings.writer_path),
        "REDIS_URL": settings.redis_url,
        "COMFYUI_NODES": ",".join(settings.comfyui_nodes),
    }


def _metrics(settings: Settings, name: str) -> dict[str, str]:
    """Each process has a port of its own for its metrics: the one configured, and those after it."""
    port = settings.metrics_port
    return {"TALLYSTICK_METRICS_PORT": "" if port is None else str(port + _METRICS.index(name) if port else 0)}


def _wait_until(supervisor: Supervisor, children: list[Child], ready: Callable[[], bool], tell: Tell) -> None:
    """Wait for children that have just been started; one that ends instead is the end."""
    ends = time.monotonic() + _START_LIMIT_S
    while not ready():
        for child in children:
            supervisor.check(child)
        if time.monotonic() > ends:
            names = ", ".join(f"{child.program.name} ({child.log})" for child in children)
            raise ServiceError("start", f"not ready within {_START_LIMIT_S:.0f} s: {names}")
        tell("")
        time.sleep(_POLL_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_ANSWER_LIMIT_S, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _stop(supervisor: Supervisor) -> None:
    """First who takes orders and who works on them, together; then who folds what came of it; then the others."""
    killed = supervisor.stop("api", "worker") + supervisor.stop("followers") + supervisor.stop()
    if killed:
        _log.warning("had to be killed: %s", ", ".join(killed))
