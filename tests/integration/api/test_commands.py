"""Keys, top-ups and jobs by command line, and the API as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tallystick.cli.group import tallystick
from tallystick.settings import Settings, variables
from tests.support.api import PROMPT, read_events
from tests.support.writers import writer_process

ROOT = Path(__file__).parents[3]
START_LIMIT_S = 60.0
END_LIMIT_S = 60.0


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings as a process of ours finds them."""
    told: dict[str, str] = {}
    for field, variable in variables().items():
        value = getattr(settings, field)
        if value != variable.default and value is not None:
            told[variable.name] = str(value)
            monkeypatch.setenv(variable.name, str(value))
    return told


def run(*words: str, status: int = 0) -> Any:
    """Run a command of ours; what it prints as JSON."""
    result = CliRunner().invoke(tallystick, [*words, "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout) if status == 0 else result.output


@pytest.mark.usefixtures("environment")
def test_keys_are_made_listed_rotated_and_revoked_by_command() -> None:
    signed = run("keys", "sign-up", "Ada", "--email", "ada@example.com", "--idempotency-key", "x")
    assert signed["organisation"].startswith("org_") and signed["key"].startswith("tally_test_")
    again = run("keys", "sign-up", "Ada", "--email", "ada@example.com", "--idempotency-key", "x")
    assert again == {name: signed[name] for name in ("organisation", "account")}
    organisation = ("--organisation", signed["organisation"])
    made = run("keys", "create", *organisation, "--name", "shop", "--scope", "jobs:read", "--days", "1")
    rotated = run("keys", "rotate", made["id"], *organisation, "--overlap", "0")
    run("keys", "revoke", rotated["id"], *organisation)
    listed = run("keys", "list", *organisation)["keys"]
    assert sorted(key["standing"] for key in listed) == ["active", "expired", "revoked"]
    assert made["key"] not in str(listed)
    assert "key-ended" in run("keys", "rotate", made["id"], *organisation, status=1)
    assert "org_" in run("keys", "list", "--organisation", "nobody", status=2)


@pytest.mark.usefixtures("environment")
def test_a_top_up_is_paid_and_a_job_ordered_by_command() -> None:
    organisation = ("--organisation", run("keys", "sign-up", "Ada")["organisation"])
    opened = run("topup", *organisation, "--credits", "1000", "--idempotency-key", "t")
    paid = run("topup", *organisation, "--credits", "1000", "--idempotency-key", "t", "--pay")
    assert (opened["topup_id"], opened["state"]) == (paid["topup_id"], "awaiting")
    assert (paid["state"], paid["credited"]) == ("credited", "1000")
    job = run("generate", "a lighthouse", *organisation, "--seed", "7", "--no-wait", "--idempotency-key", "j")
    assert (job["state"], job["prompt"]) == ("accepted", "a lighthouse")
    again = run("generate", "a lighthouse", *organisation, "--seed", "7", "--no-wait", "--idempotency-key", "j")
    assert again["job_id"] == job["job_id"]
    assert "images" in run("generate", "a lighthouse", *organisation, "--images", "99", status=2)
    assert "exactly one" in run("topup", *organisation, status=2)
    assert "topup-amount-out-of-range" in run("topup", *organisation, "--amount", "1", status=1)
    lines = run("statement", *organisation)["lines"]
    assert [line["kind"] for line in lines] == ["grant", "hold"]


class Served:
    """``tallystick serve`` as a process."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "serve"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self.url = self._url()
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise

    def _url(self) -> str:
        assert self.process.stdout is not None
        ends = time.monotonic() + START_LIMIT_S
        while time.monotonic() < ends:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.5)
            line = self.process.stdout.readline() if ready else ""
            if line.startswith("serving "):
                url = line.split()[1]
                break
            assert self.process.poll() is None, self.process.communicate()[1]
        else:
            raise AssertionError("it did not say where it serves")
        while httpx.get(f"{url}/readyz", timeout=START_LIMIT_S, trust_env=False).status_code != 200:
            assert time.monotonic() < ends
        return url

    def end(self, number: int) -> int:
        """Send a signal, and wait."""
        self.process.send_signal(number)
        try:
            return self.process.wait(END_LIMIT_S)
        finally:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def served(environment: dict[str, str]) -> Iterator[Served]:
    """A serving process, and a writer's beside it."""
    with writer_process(environment):
        found = Served(environment)
        yield found
        if found.process.poll() is None:
            found.end(signal.SIGKILL)


def customer(url: str) -> httpx.Client:
    """A new organisation with credits."""
    signed = run("keys", "sign-up", "Ada")
    run("topup", "--organisation", signed["organisation"], "--pack", "starter", "--pay")
    return httpx.Client(
        base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {signed['key']}"}, trust_env=False, timeout=20.0
    )


def test_sigterm_ends_it_in_seconds_with_a_stream_open(served: Served) -> None:
    with customer(served.url) as ada:
        job = ada.post("/generate", json=PROMPT, headers={"Idempotency-Key": "k"}).json()
        with ada.stream("GET", f"/jobs/{job['job_id']}/events") as answer:
            events = read_events(answer.iter_lines())
            assert next(event for event in events if not isinstance(event, str)).name == "state"
            served.process.send_signal(signal.SIGTERM)
            assert list(events)[-1].startswith("retry:")  # type: ignore[union-attr]
        assert served.process.wait(END_LIMIT_S) == 0


def test_after_kill_9_the_same_key_gives_the_same_job(served: Served, environment: dict[str, str]) -> None:
    answered: dict[str, str] = {}
    counting = Lock()  # nobody is answered between the fifteenth and the kill but who had asked already

    def order(key: str) -> None:
        with contextlib.suppress(httpx.HTTPError):
            answer = ada.post("/generate", json=PROMPT, headers={"Idempotency-Key": key})
            with counting:
                answered[key] = answer.json()["job_id"]
                if len(answered) == 15:
                    served.process.kill()

    keys = [f"k{n}" for n in range(60)]
    with customer(served.url) as ada, ThreadPoolExecutor(8) as threads:
        list(threads.map(order, keys))
    assert 15 <= len(answered) < len(keys)
    served.process.wait(END_LIMIT_S)
    again = Served(environment)
    try:
        with httpx.Client(base_url=f"{again.url}/api/v1", headers=ada.headers, trust_env=False, timeout=20.0) as back:
            repeats = [back.post("/generate", json=PROMPT, headers={"Idempotency-Key": key}) for key in keys]
            found = {key: answer.json()["job_id"] for key, answer in zip(keys, repeats, strict=True)}
            assert answered.items() <= found.items() and len(set(found.values())) == len(keys)
            assert back.get("/balance").json()["open_holds"] == len(keys)
            replayed = sum("Idempotency-Replayed" in answer.headers for answer in repeats)
            assert replayed >= len(answered)
    finally:
        assert again.end(signal.SIGTERM) == 0


def test_a_taken_address_is_said_in_a_line(served: Served, environment: dict[str, str]) -> None:
    port = served.url.rpartition(":")[2]
    taken = subprocess.run(
        [sys.executable, "-m", "tallystick", "serve"],
        cwd=ROOT,
        env={**os.environ, **environment, "TALLYSTICK_PORT": port},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert taken.returncode == 1
    assert f"127.0.0.1:{port}" in taken.stderr and "Traceback" not in taken.stderr
