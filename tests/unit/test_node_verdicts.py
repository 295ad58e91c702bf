"""Every row of the table between node and ledger, from facts alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.nodes.port import (
    Absent,
    Cancelled,
    Completed,
    Failed,
    InProgress,
    JobState,
    NodeError,
    Pending,
    Refusal,
    Rejected,
    Submitted,
    Unknown,
    Unreachable,
)
from workers.nodes.verdicts import (
    RULES,
    AskCancel,
    CancelCause,
    Collect,
    Course,
    NodeAction,
    Patience,
    Retry,
    Verdict,
    VerdictKind,
    Wait,
    ask_cancel,
    assess,
    begin,
    hear,
    observe,
    of_error,
    of_outputs,
    of_rejection,
    of_submission,
)
from workers.outputs import OutputFault, OutputRefused

PATIENCE = Patience(stall_s=10, pending_s=30, deadline_s=60, unreachable_s=5, unseen_s=2, obey_s=2)
ACCEPTED = Submitted(attached=False)
LOST_ANSWER = Unknown(reason="ReadTimeout", sent=True)
DONE = Completed(outputs=())


def course(*steps: tuple[float, JobState], submission: Submitted | Unknown = ACCEPTED) -> Course:
    at_hand = begin(submission, now_s=0)
    for now_s, state in steps:
        at_hand = observe(at_hand, state, now_s=now_s)
    return at_hand


def concluded(at_hand: Course, now_s: float) -> Verdict:
    step = assess(at_hand, PATIENCE, now_s=now_s)
    assert isinstance(step, Verdict), step
    return step


def rejected(refusal: Refusal, *lacks: str) -> Rejected:
    return Rejected(refusal=refusal, type="t", message="m", lacks=lacks)


def raised(exception_type: str, message: str) -> NodeError:
    return NodeError(node_id="3", node_type="KSampler", exception_type=exception_type, message=message)


def refused(fault: OutputFault) -> OutputRefused:
    return OutputRefused(fault=fault, index=0, detail="")


FACTS: list[tuple[Verdict, VerdictKind, Retry, NodeAction]] = [
    (of_outputs(None), VerdictKind.SUCCESS, Retry.NONE, NodeAction.KEEP),
    (of_outputs(refused(OutputFault.TOO_FEW)), VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    (of_outputs(refused(OutputFault.MISSING)), VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    (of_outputs(refused(OutputFault.EMPTY)), VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    (of_outputs(refused(OutputFault.BLACK)), VerdictKind.SUSPECT_BLACK, Retry.ELSEWHERE, NodeAction.COUNT),
    (of_outputs(refused(OutputFault.CONSTANT)), VerdictKind.SUSPECT_BLACK, Retry.ELSEWHERE, NodeAction.COUNT),
    (of_rejection(rejected(Refusal.INVALID)), VerdictKind.INVALID, Retry.NONE, NodeAction.KEEP),
    (
        of_rejection(rejected(Refusal.CAPABILITY, "x.safetensors")),
        VerdictKind.CAPABILITY,
        Retry.CAPABLE,
        NodeAction.DROP_CAPABILITY,
    ),
    (of_error(raised("RuntimeError", "no")), VerdictKind.FAILED, Retry.ONCE, NodeAction.COUNT),
    (of_error(raised("torch.OutOfMemoryError", "no")), VerdictKind.OOM, Retry.LARGER, NodeAction.FREE),
    (
        of_error(raised("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")),
        VerdictKind.OOM,
        Retry.LARGER,
        NodeAction.FREE,
    ),
    (
        of_error(raised("RuntimeError", "CUDA error: an illegal memory access was encountered")),
        VerdictKind.POISONED,
        Retry.ELSEWHERE,
        NodeAction.RESTART,
    ),
]


@pytest.mark.parametrize(("verdict", "kind", "retry", "action"), FACTS)
def test_each_fact_has_the_verdict_of_the_table(
    verdict: Verdict, kind: VerdictKind, retry: Retry, action: NodeAction
) -> None:
    assert (verdict.kind, verdict.retry, verdict.action) == (kind, retry, action)


def test_the_table_has_a_rule_for_every_verdict_and_only_success_commits() -> None:
    assert set(RULES) == set(VerdictKind)
    assert all(_judges(fault) for fault in OutputFault)


def _judges(fault: OutputFault) -> bool:
    return of_outputs(refused(fault)).kind is not VerdictKind.SUCCESS


def test_a_submission_ends_an_attempt_only_by_a_refusal() -> None:
    assert of_submission(ACCEPTED) is None
    assert of_submission(LOST_ANSWER) is None
    invalid = of_submission(rejected(Refusal.INVALID))
    assert invalid is not None
    assert invalid.kind is VerdictKind.INVALID


def test_completed_means_collect_and_nothing_is_concluded_before_that() -> None:
    assert assess(course((1, DONE)), PATIENCE, now_s=1) == Collect(completed=DONE)


def test_a_result_that_comes_after_a_cancel_is_collected_all_the_same() -> None:
    at_hand = ask_cancel(course((1, InProgress())), CancelCause.ASKED, now_s=2)
    assert isinstance(assess(observe(at_hand, DONE, now_s=3), PATIENCE, now_s=3), Collect)


def test_a_lost_answer_is_neither_a_failure_nor_a_success_until_the_node_is_asked() -> None:
    assert assess(course(submission=LOST_ANSWER), PATIENCE, now_s=1) == Wait()
    assert assess(course((1, Absent()), submission=LOST_ANSWER), PATIENCE, now_s=1) == Wait()
    assert concluded(course((2, Absent()), submission=LOST_ANSWER), 2).kind is VerdictKind.LOST
    assert assess(course((1, Pending()), submission=LOST_ANSWER), PATIENCE, now_s=2) == Wait()


def test_known_then_absent_is_a_restart() -> None:
    verdict = concluded(course((0.1, InProgress()), (0.2, Absent())), 0.2)
    assert (verdict.kind, verdict.action) == (VerdictKind.LOST, NodeAction.PROBATION)


def test_a_node_that_does_not_answer_is_lost_only_after_its_time_and_one_answer_resets_it() -> None:
    silent = course((1, InProgress()), (2, Unreachable(reason="refused")), (6, Unreachable(reason="refused")))
    assert assess(silent, PATIENCE, now_s=6.9) == Wait()
    assert concluded(silent, 7).kind is VerdictKind.LOST
    back = observe(observe(silent, InProgress(), now_s=6.9), Unreachable(reason="refused"), now_s=7)
    assert assess(back, PATIENCE, now_s=11) == Wait()


def test_silence_while_running_asks_for_a_cancel_and_deafness_after_it_is_stuck() -> None:
    running = course((1, InProgress()))
    assert assess(hear(running, now_s=10), PATIENCE, now_s=19.9) == Wait()
    assert assess(running, PATIENCE, now_s=11) == AskCancel(cause=CancelCause.STALLED)
    asked = ask_cancel(running, CancelCause.STALLED, now_s=11)
    assert assess(asked, PATIENCE, now_s=12) == Wait()
    verdict = concluded(asked, 13)
    assert (verdict.kind, verdict.action) == (VerdictKind.STUCK, NodeAction.QUARANTINE)


def test_a_silent_node_that_obeys_the_cancel_must_prove_itself_but_is_not_killed() -> None:
    asked = ask_cancel(course((1, InProgress())), CancelCause.STALLED, now_s=11)
    for state in (Cancelled(), Absent()):
        verdict = concluded(observe(asked, state, now_s=12), 12)
        assert (verdict.kind, verdict.action) == (VerdictKind.STUCK, NodeAction.CANARY)


def test_a_queue_that_does_not_move_is_stuck_too() -> None:
    waiting = course((1, Pending()), (20, Pending()))
    assert assess(waiting, PATIENCE, now_s=30.9) == Wait()
    assert assess(waiting, PATIENCE, now_s=31) == AskCancel(cause=CancelCause.STALLED)


def test_the_deadline_ends_an_attempt_that_is_alive_without_blaming_the_node() -> None:
    alive = hear(course((1, InProgress())), now_s=59.9)
    assert assess(alive, PATIENCE, now_s=60) == AskCancel(cause=CancelCause.DEADLINE)
    asked = ask_cancel(alive, CancelCause.DEADLINE, now_s=60)
    verdict = concluded(observe(asked, Cancelled(), now_s=61), 61)
    assert (verdict.kind, verdict.action) == (VerdictKind.OVERDUE, NodeAction.KEEP)
    assert concluded(asked, 62).kind is VerdictKind.STUCK


@pytest.mark.parametrize("state", [Cancelled(), Absent()])
def test_a_cancel_that_was_asked_for_ends_cancelled_running_or_waiting(state: JobState) -> None:
    asked = ask_cancel(course((1, InProgress())), CancelCause.ASKED, now_s=2)
    verdict = concluded(observe(asked, state, now_s=3), 3)
    assert (verdict.kind, verdict.retry, verdict.action) == (VerdictKind.CANCELLED, Retry.NONE, NodeAction.KEEP)


def test_a_node_in_a_long_silent_step_has_its_stall_time_to_obey_a_customers_cancel() -> None:
    asked = ask_cancel(course((1, InProgress())), CancelCause.ASKED, now_s=2)
    assert assess(asked, PATIENCE, now_s=11.9) == Wait()
    assert concluded(asked, 12).kind is VerdictKind.STUCK


def test_the_first_cause_of_a_cancel_is_the_one_that_counts() -> None:
    asked = ask_cancel(course((1, InProgress())), CancelCause.ASKED, now_s=2)
    assert ask_cancel(asked, CancelCause.DEADLINE, now_s=9) == asked


def test_an_error_is_judged_by_what_was_raised() -> None:
    failed = Failed(error=raised("RuntimeError", "injected failure\n"))
    assert concluded(course((1, failed)), 1).kind is VerdictKind.FAILED


STATES = st.sampled_from(
    [Pending(), InProgress(), DONE, Failed(error=raised("E", "m")), Cancelled(), Absent(), Unreachable(reason="r")]
)


@given(
    steps=st.lists(st.tuples(st.floats(0, 20), STATES, st.booleans()), max_size=30),
    submission=st.sampled_from([ACCEPTED, LOST_ANSWER]),
)
def test_invariant_50_every_attempt_ends_whatever_the_node_says(
    steps: list[tuple[float, JobState, bool]], submission: Submitted | Unknown
) -> None:
    now_s, at_hand = 0.0, begin(submission, now_s=0)
    for wait_s, state, alive in [*steps, *[(1.0, Unreachable(reason="r"), False), (1.0, InProgress(), False)] * 70]:
        now_s += wait_s
        at_hand = observe(hear(at_hand, now_s=now_s) if alive else at_hand, state, now_s=now_s)
        step = assess(at_hand, PATIENCE, now_s=now_s)
        if isinstance(step, AskCancel):
            at_hand = ask_cancel(at_hand, step.cause, now_s=now_s)
        if isinstance(step, Verdict | Collect):
            return
    raise AssertionError("the attempt never ended")
