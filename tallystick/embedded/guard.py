"""Becomes a server: gives up root, asks to end with its parent, executes the program. Run by path; imports none of us.

Usage: ``python -I -S guard.py UID GID PARENT SIGNAL PROGRAM [ARGUMENT…]``; UID -1 keeps the user.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
LIBRARY_PATH = "LD_LIBRARY_PATH"


def become(uid: int, gid: int) -> None:
    """Turn into an ordinary user, for good."""
    if uid < 0:
        return
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def end_with_parent(parent: int, signal: int) -> None:
    """Have the kernel send ``signal`` when the parent ends in any way (Linux; elsewhere the next start clears up)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")


def main(arguments: list[str]) -> None:
    """Never returns: this process is the program afterwards, under the same process id."""
    uid, gid, parent, signal = (int(argument) for argument in arguments[:4])
    program = arguments[4:]
    os.umask(0o077)
    become(uid, gid)
    end_with_parent(parent, signal)  # after the change of user, which would clear it
    os.environ.pop(LIBRARY_PATH, None)  # was for the interpreter
    os.execv(program[0], program)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
