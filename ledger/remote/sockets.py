"""The writer's socket in the file system: private, one writer's alone, and stale never.

Who may connect is decided twice: by the folder, which is its owner's alone, and by the kernel's word on who is at the
other end. Which writer has a socket is decided by a lock beside it, which the kernel takes back when the writer ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PATH_BYTES_MAX = 100
"""Longest path of a socket: its whole address has 108 bytes on Linux, 104 elsewhere."""

_BACKLOG = 128
_BUFFER_BYTES = 2 * 1024 * 1024
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SocketError(Exception):
    """The socket cannot be had; the message says why."""


class SocketTaken(SocketError):
    """Another writer has it."""


@contextmanager
def listening(path: Path) -> Generator[socket.socket]:
    """A socket that listens at ``path`` while the block runs; its folder is made if absent.

    :raises SocketTaken: another writer has it.
    :raises SocketError: its folder is open to others, or it cannot be made.
    """
    try:
        _make_folder(path.parent)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SocketError(f"{path}: {error.strerror}") from error
    try:
        _lock(lock, path)
        with _bound(path) as found:
            try:
                yield found
            finally:
                path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _make_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & _OPEN_TO_OTHERS:
        raise SocketError(f"{folder} must belong to this user alone (mode 0700): who reaches it may write")


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SocketTaken(f"another writer answers at {path}") from None


def _bound(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise SocketError(f"{path} is too long for a socket: at most {PATH_BYTES_MAX} bytes")
    path.unlink(missing_ok=True)  # whoever made it has ended: the lock is ours
    found = new_socket()
    try:
        found.bind(str(path))
        path.chmod(0o600)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise SocketError(f"{path}: {error.strerror}") from error
    return found


def new_socket() -> socket.socket:
    """A socket of our kind that never blocks."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.settimeout(0.0)
    enlarge(found)
    return found


def enlarge(found: socket.socket) -> None:
    """Give a socket room for a whole batch, as far as the system grants it."""
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)


def peer_uid(connected: socket.socket) -> int:
    """The user at the other end, by the kernel's word."""
    if sys.platform == "linux":
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    local_peercred = 1  # macOS and BSD: struct xucred begins with its version and the user
    raw = connected.getsockopt(0, local_peercred, 128)
    return int(struct.unpack_from("2I", raw)[1])


def may_connect(uid: int) -> bool:
    """Whether a user may talk to the writer: the writer's own, and root."""
    return uid in {0, os.geteuid()}
