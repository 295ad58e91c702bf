"""Runs a module as a child that never outlives its parent: ``python -m tallystick.run_child MODULE [ARGUMENT…]``.

The parent holds the other end of standard input. When that closes, for whatever reason, the child is told to stop, and
ends at once if it does not.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
from threading import Thread

ORPHAN_LIMIT_S = 5.0
"""How long an orphan may take to stop."""


def main() -> None:
    """Become the module."""
    module, *arguments = sys.argv[1:]
    Thread(target=_watch, name="parent", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch() -> None:
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_LIMIT_S)
    os._exit(1)


if __name__ == "__main__":
    main()
