"""Drive one attempt on one executor to its verdict, as a job runner does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from workers.nodes.collect import collect
from workers.nodes.port import Executor, Unreachable
from workers.nodes.verdicts import (
    AskCancel,
    CancelCause,
    Collect,
    Course,
    Patience,
    Verdict,
    ask_cancel,
    assess,
    begin,
    observe,
    of_outputs,
    of_submission,
)
from workers.outputs import OutputRefused, OutputRules, Picture

PATIENT = Patience(stall_s=60, pending_s=60, deadline_s=60, unreachable_s=60, unseen_s=60, obey_s=60)
"""For verdicts that follow from what a node does: a machine that stands still for a while must not decide them."""
RULES = OutputRules(count=1)


def settle(
    executor: Executor,
    attempt_id: UUID,
    graph: dict[str, Any],
    *,
    declared: Mapping[str, int],
    patience: Patience = PATIENT,
    cancel_after_s: float | None = None,
) -> tuple[Verdict, tuple[Picture, ...]]:
    """Submit, poll, cancel where the rules say so, fetch, verify, judge."""
    submission = executor.submit(attempt_id, graph)
    if (refused := of_submission(submission)) is not None:
        return refused, ()
    began_s = time.monotonic()
    course = begin(submission, now_s=began_s)  # type: ignore[arg-type]  # a refusal has returned above
    while True:
        course = observe(course, executor.look_up(attempt_id), now_s=time.monotonic())
        if cancel_after_s is not None and time.monotonic() - began_s >= cancel_after_s and course.cancel is None:
            course = _cancel(executor, attempt_id, course, CancelCause.ASKED)
        match assess(course, patience, now_s=time.monotonic()):
            case Verdict() as verdict:
                return verdict, ()
            case AskCancel(cause=cause):
                course = _cancel(executor, attempt_id, course, cause)
            case Collect(completed=completed):
                checked = collect(executor, completed, declared, RULES)
                if isinstance(checked, OutputRefused):
                    return of_outputs(checked), ()
                if not isinstance(checked, Unreachable):
                    return of_outputs(None), checked
            case _:
                pass
        time.sleep(0.02)


def _cancel(executor: Executor, attempt_id: UUID, course: Course, cause: CancelCause) -> Course:
    executor.cancel(attempt_id)
    return ask_cancel(course, cause, now_s=time.monotonic())
