"""Settings of the Python process for those that run the ledger's writer, or read the whole log."""

from __future__ import annotations

import gc
import sys

_YOUNG_OBJECTS = 20_000
_SWITCH_S = 0.0003


def tune_process() -> None:
    """Call once everything is imported.

    A batch makes thousands of objects that all die together: with the default threshold the collector runs dozens of
    times within it, a third of the writer's time. And a thread that waits for the interpreter gets it after 0.3 ms
    instead of 5: the one that appends needs it a few times a batch, while the next batch is being decided.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
    sys.setswitchinterval(_SWITCH_S)
