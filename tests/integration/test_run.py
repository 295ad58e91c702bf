"""``tallystick run``: what it prints works, and it leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from threading import Event, Thread

import pytest

from tests.support import instances
from tests.support.requirements import not_run
from tests.support.site import QUICK, SLOW, RunningSite, site, tallystick

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def up() -> Generator[RunningSite]:
    """A site with servers of its own, for tests that leave it as it is."""
    with site() as found:
        found.start()
        yield found


def lines_to_paste(said: str) -> dict[str, str]:
    """What each of the lines is for, and the line."""
    return dict(re.findall(r"^# (.+)\n(curl .+)$", said, re.MULTILINE))


def test_three_lines_work_when_pasted(up: RunningSite) -> None:
    if shutil.which("curl") is None:
        not_run("lines for a shell", "apt-get install curl")
    lines = lines_to_paste(up.said)
    assert list(lines) == ["the balance", "a picture", "that job"]
    answers = [
        json.loads(subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout)
        for line in lines.values()
    ]
    balance, picture, jobs = answers
    assert 999 < float(balance["available"]) <= 1000 and balance["held"] == "0"
    assert picture["state"] == "succeeded" and picture["charged"] == picture["price"]
    assert [job["job_id"] for job in jobs["data"]] == [picture["job_id"]]
    again = json.loads(
        subprocess.run(["bash", "-c", lines["a picture"]], capture_output=True, text=True, check=True).stdout
    )
    assert again["job_id"] == picture["job_id"], "pasted twice, paid once"


def test_the_address_answers_a_page(up: RunningSite) -> None:
    answer = up.http.get(up.url)
    assert answer.status_code == 200 and "Tallystick" in answer.text


def test_a_second_run_in_the_same_folder_says_so(up: RunningSite) -> None:
    environment = up.environment | {"TALLYSTICK_PORT": "0"}
    done = tallystick("run", environment=environment)
    assert up.process is not None
    assert done.returncode == 1
    assert f"{up.data} is in use by process {up.process.pid}" in done.stderr
    assert up.get("/balance"), "the first one goes on"


def test_commands_work_beside_it(up: RunningSite) -> None:
    done = tallystick("doctor", environment=up.command_environment())
    assert done.returncode == 0, done.stdout + done.stderr


def test_logs_are_json_without_keys_and_prompts(up: RunningSite) -> None:
    prompt = "a secret garden that no log may name"
    job_id = up.order({**QUICK, "prompt": prompt})
    up.until(job_id, "succeeded")
    written = [line for log in up.data.glob("logs/*.log") for line in log.read_text().splitlines()]
    requests = [json.loads(line) for line in written if '"request_id"' in line]
    assert {"api"} == {line["component"] for line in requests}
    assert "/api/v1/generate" in {line["route"] for line in requests}
    assert not [line for line in written if prompt in line or up.key in line]


def test_sigterm_ends_it_in_time_with_open_streams_and_leaves_nothing() -> None:
    with site() as found:
        found.start()
        job_id = found.order({**SLOW, "images": 4})
        reading, stopping = Event(), Event()
        thread = Thread(target=listen, args=(found, job_id, reading, stopping), daemon=True)
        thread.start()
        assert reading.wait(10), "the stream is open"
        assert found.stop() < 10
        stopping.set()
        thread.join(5)
        key = found.key
        found.start()
        assert found.key == key, "the same key as before"
        assert found.check([job_id])[0]["state"] == "succeeded", "the job that was cut off goes on"
        assert found.stop(signal.SIGINT) < 10


def listen(found: RunningSite, job_id: str, reading: Event, stopping: Event) -> None:
    """Hold a live stream open, whatever becomes of it."""
    headers = {"Authorization": f"Bearer {found.key}"}
    with found.http.stream("GET", f"{found.url}/api/v1/jobs/{job_id}/events", headers=headers) as answer:
        for _ in answer.iter_lines():
            reading.set()
            if stopping.is_set():
                return


def test_killing_the_parent_ends_every_child() -> None:
    with site() as found:
        found.start()
        assert found.process is not None
        pids = found.pids()
        os.kill(found.process.pid, signal.SIGKILL)
        start = time.monotonic()
        instances.wait_until_ended(pids)
        assert time.monotonic() - start < 10


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with site() as found, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = tallystick("run", environment=found.environment | {"TALLYSTICK_PORT": port})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use; set TALLYSTICK_PORT" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("after", ["PostgreSQL and Redis", "writer, API, worker and followers"])
def test_it_can_be_stopped_before_it_is_up(after: str) -> None:
    with site() as found:
        found.begin()
        found.read_until(f"starting {after}")
        assert found.stop() < 10
