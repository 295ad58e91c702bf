"""A node dies, hangs, lies: told to by its control port, or killed as a process."""

from __future__ import annotations

import re
import signal
import time

import httpx
import pytest

from tests.support.site import SLOW, RunningSite
from workers.limits import HEALTH_S
from workers.nodes.faults import Fault

pytestmark = pytest.mark.timeout(150)

LIES = (Fault.QUEUED_500, Fault.LATE_ANSWER, Fault.FEWER, Fault.LOST_FILE, Fault.CORRUPT, Fault.BLACK, Fault.EXCEPTION)


def script(running: RunningSite, fault: Fault) -> None:
    """Tell the node to misbehave at its next prompt."""
    command = (running.data / "logs" / "node.log").read_text()
    found = re.search(r'"control_url": "([^"]+)"', command)
    assert found is not None
    body = {"fault": fault, "prompt_id": None, "seconds": 0.5}
    httpx.post(f"{found[1]}/script", json=body, timeout=60.0).raise_for_status()


def test_a_node_that_is_killed_while_it_paints_costs_an_attempt(running: RunningSite) -> None:
    jobs = [running.order()]
    running.until(jobs[0], "succeeded")  # behind the canary, which would be the next prompt
    script(running, Fault.SLOW)  # it paints until it is killed, however late that is
    jobs += [running.order(SLOW), running.order()]
    running.until(jobs[1], "running")
    running.kill_part("node")
    start = time.monotonic()
    running.until(jobs[1], "succeeded")
    assert time.monotonic() - start < HEALTH_S, "a node that is lost is looked at before its turn"
    ended = running.check(jobs)
    assert {job["state"] for job in ended} == {"succeeded"}
    assert max(job["attempts"] for job in ended) == 2


def test_a_node_that_hangs_for_a_while_is_waited_for(running: RunningSite) -> None:
    jobs = running.order_until_one_runs(behind=1)
    running.send("node", signal.SIGSTOP)
    time.sleep(6)
    running.send("node", signal.SIGCONT)
    assert {job["state"] for job in running.check(jobs)} == {"succeeded"}


@pytest.mark.parametrize("cancelled", [False, True], ids=["patient", "cancelled"])
def test_a_node_that_hangs_until_it_is_restarted_keeps_no_job(running: RunningSite, cancelled: bool) -> None:
    first = running.order()
    running.until(first, "succeeded")  # behind the canary, which would be the next prompt
    script(running, Fault.HANG)
    hung = running.order()
    running.until(hung, "running")
    if cancelled:
        assert running.ask("POST", f"/api/v1/jobs/{hung}/cancel").status_code == 200
        running.until(hung, "cancelling")
    running.kill_part("node")
    following = running.order()
    ended = {job["job_id"]: job for job in running.check([hung, following])}
    assert ended[hung]["state"] == ("cancelled" if cancelled else "succeeded")
    assert ended[hung]["attempts"] == (1 if cancelled else 2)
    assert ended[following]["state"] == "succeeded"


def test_a_node_that_lies_is_not_believed(running: RunningSite) -> None:
    jobs = [running.order()]
    running.until(jobs[0], "succeeded")
    for fault in LIES:
        script(running, fault)
        jobs.append(running.order())
        running.until(jobs[-1], "succeeded", "failed")
    ended = {job["job_id"]: job for job in running.check(jobs)}
    states = {fault: ended[job_id]["state"] for fault, job_id in zip(LIES, jobs[1:], strict=True)}
    assert states[Fault.QUEUED_500] == states[Fault.LATE_ANSWER] == "succeeded", "queued after all"
    assert "succeeded" in states.values()
