"""``kill -9`` of the worker, of the API between commit and answer, of everything at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from ledger.limits import SUBMIT_TIMEOUT_S
from tests.support.composed import free_port
from tests.support.requirements import ROOT
from tests.support.site import QUICK, SLOW, RunningSite, site

pytestmark = pytest.mark.timeout(150)

DIES_BEFORE_IT_ANSWERS = """
import os, signal
from ledger.store.socket import SocketLedger
submit = SocketLedger.submit
def die(self, request, **more):
    answer = submit(self, request, **more)
    if request.operation == "generate":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
SocketLedger.submit = die
from tallystick.__main__ import main
main()
"""


def test_a_worker_killed_while_a_job_runs_loses_nothing(running: RunningSite) -> None:
    jobs = running.order_until_one_runs(behind=2)
    running.kill_part("worker")
    ended = running.check(jobs)
    assert [job["state"] for job in ended] == ["succeeded"] * len(jobs)
    assert sum(job["attempts"] for job in ended) <= len(jobs) + 1, "whoever took it over attached to what the node had"


def test_an_api_killed_between_commit_and_answer_gives_the_same_answer_to_the_same_key(running: RunningSite) -> None:
    first = running.order()
    running.send("api", signal.SIGSTOP)  # out of the way: another is asked meanwhile
    port = _dying_api(running)
    with pytest.raises(httpx.TransportError):
        running.http.post(
            f"http://127.0.0.1:{port}/api/v1/generate",
            json=QUICK,
            headers={"Authorization": f"Bearer {running.key}", "Idempotency-Key": "once"},
        )
    running.send("api", signal.SIGCONT)
    again = running.ask("POST", "/api/v1/generate", QUICK, **{"Idempotency-Key": "once"})
    assert again.status_code == 202 and again.headers["Idempotency-Replayed"] == "true"
    other = running.ask("POST", "/api/v1/generate", {**QUICK, "seed": 1}, **{"Idempotency-Key": "once"})
    assert other.status_code == 422 and "seed" in other.text
    jobs = running.check([first, again.json()["job_id"]])
    assert len(jobs) == 2, "one order, one job"
    assert {job["state"] for job in jobs} == {"succeeded"}


def _dying_api(running: RunningSite) -> int:
    """An API process that dies once an order is committed; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", DIES_BEFORE_IT_ANSWERS, "serve", "--http-only"],
        cwd=ROOT,
        env={**os.environ, **running.environment, "TALLYSTICK_PORT": str(port), "TALLYSTICK_SANDBOX": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running.wait_for(lambda: process.poll() is not None or _ready(port))
    assert process.poll() is None
    return port


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_an_api_killed_among_orders_comes_back_and_keeps_every_promise(running: RunningSite) -> None:
    jobs = [running.order(key=f"before-{n}") for n in range(3)]
    running.kill_part("api")
    jobs += [running.order(key=f"after-{n}") for n in range(3)]
    assert jobs[:3] == [running.order(key=f"before-{n}") for n in range(3)], "the same keys, the same jobs"
    assert len(running.check(jobs)) == 6


def test_a_writer_killed_among_orders_is_not_noticed(running: RunningSite) -> None:
    jobs = running.order_until_one_runs()
    running.send("writer", signal.SIGSTOP)
    running.send("writer", signal.SIGKILL)
    start = time.monotonic()
    answer = running.ask("POST", "/api/v1/generate", QUICK, **{"Idempotency-Key": "meanwhile"})
    waited_s = time.monotonic() - start
    assert answer.status_code == 202 or waited_s > SUBMIT_TIMEOUT_S / 2, "it waited for the next writer"
    jobs.append(running.order(key="meanwhile"))
    ended = running.check(jobs)
    assert len(ended) == len(jobs), "one order, one job"
    assert {job["state"] for job in ended} == {"succeeded"}


def test_everything_killed_at_once_goes_on_where_it_was() -> None:
    with site() as found:
        found.start()
        jobs = [found.order(SLOW, key="slow"), *(found.order(key=f"quick-{n}") for n in range(3))]
        found.until(jobs[0], "running", "succeeded")
        found.kill()
        found.start()
        assert jobs[0] == found.order(SLOW, key="slow")
        ended = found.check(jobs)
        assert len(ended) == 4, "no order twice"
        assert {job["state"] for job in ended} == {"succeeded"}
        found.stop()
