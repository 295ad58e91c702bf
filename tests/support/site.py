"""The whole product as ``tallystick run`` starts it: processes to be killed, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.support import instances
from tests.support.requirements import ROOT

STARTS_WITHIN_S = 100.0
STOPS_WITHIN_S = 60.0
ENDS_WITHIN_S = 100.0
ENDED = {"succeeded", "failed", "cancelled", "expired"}
QUICK = {"prompt": "a lighthouse", "width": 256, "height": 256, "quality": "draft"}
SLOW = {"prompt": "a lighthouse", "width": 512, "height": 512, "quality": "high"}
_URL, _KEY = re.compile(r"http://127\.0\.0\.1:\d+"), re.compile(r"tally_test_\w+")


def tallystick(*command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command of ours, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tallystick", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_WITHIN_S,
    )


class RunningSite:
    """One ``tallystick run``. ``environment`` are settings; port and data folder stay when it is started again."""

    def __init__(self, data: Path, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.environment = {
            "TALLYSTICK_DATA_DIR": str(data),
            "TALLYSTICK_PORT": "0",
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.said = ""
        self.url = self.key = ""
        self.http = httpx.Client(timeout=20.0, trust_env=False)

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "run"],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self) -> None:
        """Start it, and read what it prints until it is up."""
        self.begin()
        self.said = self.read_until("Ctrl-C stops it.")
        url, key = _URL.search(self.said), _KEY.search(self.said)
        assert url and key, self.said
        self.url, self.key = url[0], key[0]
        self.environment["TALLYSTICK_PORT"] = self.url.rsplit(":", 1)[1]

    def read_until(self, end: str) -> str:
        """What it prints, up to and with a text."""
        assert self.process is not None and self.process.stdout is not None
        output = self.process.stdout.fileno()
        said, ends = "", time.monotonic() + STARTS_WITHIN_S
        while end not in said:
            ready, _, _ = select.select([output], [], [], max(0.0, ends - time.monotonic()))
            part = os.read(output, 65536).decode() if ready else ""
            if not part:
                self.kill()
                raise AssertionError(f"it did not start:\n{said}\n{self.logs()}")
            said += part
        return said

    # --- processes

    def pids(self) -> set[int]:
        """It, and everything below it."""
        assert self.process is not None
        return {self.process.pid, *instances.descendants(self.process.pid)}

    def pid(self, name: str) -> int | None:
        """The process of one part (writer, api, worker, followers or node); None while there is none."""
        words = {"writer": "write", "api": "serve", "worker": "work", "followers": "follow", "node": "workers.standin"}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if "tallystick.run_child" in command and words[name] in command:
                    return pid
        return None

    def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal to one part; its process id."""
        pid = self.pid(name)
        assert pid is not None, f"no {name} runs"
        os.kill(pid, number)
        return pid

    def kill_part(self, name: str) -> int:
        """``kill -9`` of one part, and wait until there is another; the process id of that."""
        killed = self.send(name, signal.SIGKILL)
        return self.wait_for(lambda: (pid := self.pid(name)) != killed and pid)

    def kill(self) -> None:
        """``kill -9`` of everything at once."""
        if self.process is None:
            return
        if self.process.poll() is None:
            instances.kill(self.pids())
        self._reap()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Tell it to stop; how many seconds it took. It leaves nothing behind."""
        assert self.process is not None
        pids, start = self.pids(), time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(STOPS_WITHIN_S) == 0, self.logs()
        seconds = time.monotonic() - start
        assert self.process.stdout is not None
        assert "had to be killed" not in (said := self.process.stdout.read()), said
        instances.wait_until_ended(pids)
        self._reap()
        return seconds

    def _reap(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        self.process.wait(STOPS_WITHIN_S)
        self.process.stdout.close()
        self.process = None

    def close(self) -> None:
        """Kill what is left."""
        self.kill()
        self.http.close()

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(
            f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(self.data.glob("logs/*.log"))
        )

    # --- as a customer

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request, whatever comes of it."""
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        return self.http.request(method, f"{self.url}{path}", json=body, headers=sent)

    def get(self, path: str) -> Any:
        """Ask until there is an answer: a part may be on its way back."""

        def once() -> Any:
            with contextlib.suppress(httpx.TransportError):
                answer = self.ask("GET", f"/api/v1{path}")
                return answer.json() if answer.status_code == 200 else None

        return self.wait_for(once)

    def order(self, body: dict[str, Any] | None = None, key: str | None = None) -> str:
        """A job; asked again under the same key until it is known to be one."""
        key = key or uuid4().hex

        def once() -> Any:
            with contextlib.suppress(httpx.TransportError):
                answer = self.ask("POST", "/api/v1/generate", body or QUICK, **{"Idempotency-Key": key})
                said = answer.json()
                assert answer.status_code in {202, 503} or said["code"] == "outcome-unknown", answer.text
                return said.get("job_id")

        return self.wait_for(once)

    def order_until_one_runs(self, *, behind: int = 0) -> list[str]:
        """Slow jobs, each with some quick ones behind it, until a slow one is seen running; all that were ordered.

        One is not enough where the machine stands still: it may begin and end between two looks.
        """
        jobs: list[str] = []

        def once() -> bool:
            slow = self.order(SLOW)
            jobs.extend([slow, *(self.order() for _ in range(behind))])
            return self.until(slow, "running", *ENDED)["state"] == "running"

        self.wait_for(once)
        return jobs

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        return self.get(f"/jobs/{job_id}")

    def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of these states."""
        return self.wait_for(lambda: (job := self.job(job_id))["state"] in states and job)

    def wait_for(self, what: Callable[[], Any], limit_s: float = ENDS_WITHIN_S) -> Any:
        """Until it is so; what it is then."""
        ends = time.monotonic() + limit_s
        while not (found := what()):
            assert time.monotonic() < ends, f"it did not happen in time\n{self.logs()}"
            time.sleep(0.1)
        return found

    # --- what must hold

    def check(self, job_ids: Sequence[str], *, granted: int = 1000) -> list[dict[str, Any]]:
        """After a bad day: all jobs ended, nothing is held, who paid has a picture, nobody else, the log is whole."""
        for job_id in job_ids:
            self.until(job_id, *ENDED)
        jobs = self.get("/jobs?limit=200")["data"]
        jobs = [self.job(job["job_id"]) for job in jobs]
        assert set(job_ids) <= {job["job_id"] for job in jobs}, "an order that was answered is there"
        assert all(job["state"] in ENDED for job in jobs), jobs
        balance = self.get("/balance")
        charged = sum((Decimal(job["charged"]) for job in jobs), Decimal(0))
        assert (balance["held"], balance["open_holds"]) == ("0", 0)
        assert Decimal(balance["posted"]) == granted - charged
        for job in jobs:
            self._check_pictures(job)
        self._check_folder(jobs)
        self._check_log()
        return jobs

    def _check_pictures(self, job: dict[str, Any]) -> None:
        if job["state"] != "succeeded":
            assert (job["charged"], job["outputs"]) == ("0", []), job
            return
        assert job["charged"] == job["price"], job
        assert len(job["outputs"]) == job["images"], job
        for output in job["outputs"]:
            assert self.http.get(output["url"]).status_code == 200, job

    def _check_folder(self, jobs: list[dict[str, Any]]) -> None:
        """What is stored was paid for: nothing lies about that nobody has."""
        paid = sum(len(job["outputs"]) for job in jobs)
        self.wait_for(lambda: len(list(self.data.glob("images/**/*.png"))) == paid)

    def _check_log(self) -> None:
        done = tallystick("verify", "--json", environment=self.command_environment())
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["ok"] is True

    def command_environment(self) -> dict[str, str]:
        """Settings of a command beside it."""
        return {name: value for name, value in self.environment.items() if name != "TALLYSTICK_PORT"}


@contextlib.contextmanager
def site(environment: dict[str, str] | None = None) -> Generator[RunningSite]:
    """A site in a new folder that servers' users can reach, not started; nothing is left of it."""
    folder = instances.new_folder()
    found = RunningSite(folder / "data", environment)
    try:
        yield found
    finally:
        found.close()
        subprocess.run(["rm", "-rf", str(folder)], check=True)
