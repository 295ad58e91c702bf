"""Where embedded services keep their things: the data folder, its lock, and places that an ordinary user can reach.

Started by root, servers run as an ordinary user (PostgreSQL insists). What that user needs lies in the data folder if
it can get there, else under ``/var/lib/tallystick``. No permission that was there before is ever changed. Root writes
only into folders of its own, never into those of that user, who could plant a link there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import DataFolderBusy, DataFolderError

SHARED = Path("/var/lib/tallystick")
_SERVICE = "data folder"
_SOCKET_FOLDER_MAX = 85
"""Longest path of a folder with sockets: a Unix socket's whole address has about 107 bytes."""


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The ordinary user whom servers run as."""

    name: str
    uid: int
    gid: int


def service_user(name: str) -> ServiceUser | None:
    """The user to become when root runs us; None when an ordinary user does, who runs the servers themselves.

    :raises DataFolderError: there is no such user, or it is root.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise DataFolderError(_SERVICE, SHARED, f"no user {name!r}; set TALLYSTICK_SERVICE_USER") from None
    if entry.pw_uid == 0:
        raise DataFolderError(_SERVICE, SHARED, "servers do not run as root; set TALLYSTICK_SERVICE_USER")
    return ServiceUser(name, entry.pw_uid, entry.pw_gid)


def can_reach(user: ServiceUser, path: Path) -> bool:
    """Whether the user may pass every folder above ``path`` and read (a folder: pass) it, by mode bits."""
    wanted = [(parent, stat.S_IXOTH) for parent in path.absolute().parents]
    wanted.append((path, stat.S_IXOTH if path.is_dir() else stat.S_IROTH))
    return all(_allows(user, entry.stat(), bit) for entry, bit in wanted)


def _allows(user: ServiceUser, found: os.stat_result, bit_for_others: int) -> bool:
    if found.st_uid == user.uid:
        return bool(found.st_mode & bit_for_others << 6)
    if found.st_gid == user.gid:
        return bool(found.st_mode & bit_for_others << 3)
    return bool(found.st_mode & bit_for_others)


@contextlib.contextmanager
def naming(service: str, folder: Path) -> Generator[None]:
    """Turn what the operating system says about a folder into one clear error."""
    try:
        yield
    except OSError as error:
        raise DataFolderError(service, folder, error.strerror or str(error)) from error


def make_data_folder(folder: Path) -> None:
    """Create the data folder unless it is there: private, but passable for the servers' user when root makes it."""
    with naming(_SERVICE, folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        if not folder.is_dir():
            raise DataFolderError(_SERVICE, folder, "is not a folder")


def make_owned(service: str, folder: Path, user: ServiceUser | None) -> None:
    """Create a private folder of the servers' user, or check that the one that is there is.

    :raises DataFolderError: it belongs to somebody else, or cannot be made.
    """
    with naming(service, folder):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if user is not None:
                os.chown(folder, user.uid, user.gid, follow_symlinks=False)
        owner = folder.stat(follow_symlinks=False).st_uid
    expected = os.geteuid() if user is None else user.uid
    if owner != expected:
        raise DataFolderError(service, folder, f"belongs to user {owner}, servers would run as {expected}")


def make_socket_folder(service: str, folder: Path, user: ServiceUser | None) -> Path:
    """Create a private folder of the servers' user for sockets: ``folder``, or a short one if its path is too long."""
    if len(str(folder)) > _SOCKET_FOLDER_MAX:
        with naming(service, folder):
            folder = Path(tempfile.mkdtemp(prefix="tallystick-"))
            if user is not None:
                os.chown(folder, user.uid, user.gid)
        return folder
    make_owned(service, folder, user)
    return folder


def write_readable(service: str, path: Path, content: str) -> None:
    """Write a file of ours that the servers' user reads."""
    with naming(service, path):
        path.write_text(content, encoding="utf-8")
        path.chmod(0o644)


def servers_folder(data_dir: Path, instance: str, user: ServiceUser | None) -> Path:
    """The folder in which servers keep their folders: the data folder, or one beside it in reach of their user."""
    if user is None or can_reach(user, data_dir):
        return data_dir
    home = shared_folder(user) / instance
    with naming(_SERVICE, home), contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o711)
        (home / "belongs-to").write_text(f"{data_dir}\n", encoding="utf-8")
    return home


def shared_folder(user: ServiceUser) -> Path:
    """``/var/lib/tallystick``, made if absent.

    :raises DataFolderError: it cannot be made, or the servers' user cannot reach it.
    """
    with naming(_SERVICE, SHARED):
        with contextlib.suppress(FileExistsError):
            SHARED.mkdir(mode=0o711)
        reachable = can_reach(user, SHARED)
    if not reachable:
        raise DataFolderError(
            _SERVICE, SHARED, f"user {user.name} cannot reach it; set TALLYSTICK_DATA_DIR to a folder it can"
        )
    return SHARED


def within_reach(user: ServiceUser | None, name: str, folder: Path, parts: list[str], probe: str) -> Path:
    """A folder with ``parts`` of ``folder`` that the servers' user can read: itself, or a copy.

    The copy is made once and called ``name``; ``probe`` is a file in the folder that stands for all.
    """
    if user is None or can_reach(user, folder / probe):
        return folder
    copy = shared_folder(user) / name
    if copy.is_dir():
        return copy
    making = copy.with_name(f".{name}.{os.getpid()}")
    with naming(_SERVICE, copy):
        for part in parts:
            _copy(folder / part, making / part)
        with contextlib.suppress(OSError):
            making.rename(copy)  # fails when another process was first; then that one's is used
    shutil.rmtree(making, ignore_errors=True)
    return copy


def _copy(source: Path, target: Path) -> None:
    """Copy a file or tree, readable by everybody and executable where the source is."""
    if not source.is_dir():
        _readable_folder(target.parent)
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
        return
    _readable_folder(target)
    for entry in sorted(source.iterdir()):
        _copy(entry, target / entry.name)


def _readable_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _readable_folder(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)


@contextlib.contextmanager
def locked(data_dir: Path) -> Generator[None]:
    """Hold the data folder's lock. The kernel lets go of it when the process ends, so no lock is ever stale.

    :raises DataFolderBusy: another process holds it.
    """
    with naming(_SERVICE, data_dir):
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderBusy(data_dir, holder(data_dir)) from None
        with naming(_SERVICE, data_dir):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(data_dir: Path) -> int:
    """The process that the data folder's lock names, 0 when none: for a moment after it is taken, the one before."""
    with naming(_SERVICE, data_dir):
        content = (data_dir / "lock").read_bytes().strip()
    return int(content) if content.isdigit() else 0


def keep_once(path: Path, value: str) -> str:
    """The text kept at ``path``; if there is none yet, ``value``, written durably and readable by us alone."""
    with naming(_SERVICE, path):
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="utf-8").strip()
        making = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # by descriptor, for its mode
            file.write(f"{value}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(making, path)
        making.unlink()
        return path.read_text(encoding="utf-8").strip()
