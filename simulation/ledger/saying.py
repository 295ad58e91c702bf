"""Small questions about what writers say and do."""

from __future__ import annotations

import traceback

from ledger.domain.verdicts import Answer, Done
from ledger.ports import Request
from ledger.writer.requests import ReadUnderLock
from simulation.ledger.writers import Batch


def halved(following: object, segment: Batch) -> bool:
    """Whether the core goes on with the first half of what it had: something in it went wrong."""
    return isinstance(following, ReadUnderLock) and 0 < len(following.keys) == len(segment) // 2 < len(segment)


def traced(fault: Exception) -> str:
    """Where a fault comes from."""
    return "".join(traceback.format_exception(fault)[-3:])


def short(answer: Answer) -> str:
    """An answer in a word."""
    verdict = answer.verdict
    if isinstance(verdict, Done):
        return "done, replayed" if answer.replayed else "done"
    return verdict.code


def named(request: Request, answer: Answer) -> str:
    """What was asked and answered, to be counted."""
    verdict = answer.verdict
    outcome = "done" if isinstance(verdict, Done) else verdict.code
    name = type(request.command).__struct_config__.tag if request.command else "companions"
    mark = " (dry)" if request.dry_run else " (again)" if answer.replayed else ""
    return f"{'linked ' if request.linked else ''}{name}{mark}: {outcome}"
