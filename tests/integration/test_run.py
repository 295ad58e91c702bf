"""``tallystick run``: what it prints works, and it leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from api import server
from tallystick import run_site
from tallystick.errors import ServiceError
from tallystick.settings import Settings
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
        assert reading.wait(60), "the stream is open"
        found.stop()
        stopping.set()
        thread.join(60)
        key = found.key
        found.start()
        assert found.key == key, "the same key as before"
        assert found.check([job_id])[0]["state"] == "succeeded", "the job that was cut off goes on"
        found.stop(signal.SIGINT)


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
        instances.wait_until_ended(pids)


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with site() as found, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = tallystick("run", environment=found.environment | {"TALLYSTICK_PORT": port})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use; set TALLYSTICK_PORT" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that are tried from now on, in their order."""
    tried: list[int] = []

    def bind(host: str, port: int) -> socket.socket:
        tried.append(port)
        return server.bind(host, port)

    monkeypatch.setattr(run_site, "bind", bind)
    return tried


@pytest.fixture
def handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says which ports the system hands out; the test writes it."""
    file = tmp_path / "range"
    monkeypatch.setattr(run_site, "_HANDED_OUT", file)
    return file


def given_to_anybody() -> range:
    """Ports that this system hands out; none where it does not say, or leaves too few to choose from."""
    if not HANDED_OUT.exists():
        return range(0)
    first, last = map(int, HANDED_OUT.read_text().split())
    return range(0) if first < 21_000 and last > 65_000 else range(first, last + 1)


def test_free_ports_are_none_that_the_system_hands_out(up: RunningSite) -> None:
    ports = [httpx.URL(up.url).port, *json.loads((up.data / "node" / "ports.json").read_text())]
    assert len(set(ports)) == 3
    assert not [port for port in ports if port in given_to_anybody()]


def leave(handed_out: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """The system hands out all ports but this one."""
    handed_out.write_text("1\t2\n")
    monkeypatch.setattr(run_site, "_PORT_MIN", port)
    monkeypatch.setattr(run_site, "_PORT_MAX", port)


def test_a_port_that_is_taken_is_passed_over(
    tmp_path: Path, handed_out: Path, bound: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        leave(handed_out, monkeypatch, port)
        assert run_site.free_port(Settings(data_dir=tmp_path, host="127.0.0.1", port=0)) != port
    assert bound == [port, 0]


@pytest.mark.parametrize("said", ["1024 65535", "20000\t65535\n", "", "all of them", None])
def test_where_no_port_is_known_to_be_left_alone_the_system_gives_one(
    tmp_path: Path, handed_out: Path, bound: list[int], said: str | None
) -> None:
    if said is not None:
        handed_out.write_text(said)
    assert run_site.free_port(Settings(data_dir=tmp_path, host="127.0.0.1", port=0))
    one, other = run_site.kept_ports(tmp_path / "ports.json", besides=1)
    assert one != other and bound == [0, 0, 0]


def test_an_address_that_is_not_ours_is_said_with_the_port_that_was_asked_for(
    tmp_path: Path, handed_out: Path, bound: list[int]
) -> None:
    handed_out.write_text("32768 60999")
    with pytest.raises(ServiceError, match=r"192\.0\.2\.1:0: Cannot assign requested address; set TALLYSTICK_PORT"):
        run_site.free_port(Settings(data_dir=tmp_path, host="192.0.2.1", port=0))
    assert len(bound) == 2


def test_the_nodes_ports_stay_unless_the_api_has_one_of_them(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    kept = run_site.kept_ports(file, besides=1)
    assert run_site.kept_ports(file, besides=1) == kept
    for mine in kept:
        assert mine not in run_site.kept_ports(file, besides=mine)


def test_the_nodes_new_ports_are_not_the_apis(
    tmp_path: Path, handed_out: Path, bound: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(handed_out, monkeypatch, 20_000)
    run_site.kept_ports(tmp_path / "ports.json", besides=20_000)
    assert bound == [0, 0]


@pytest.mark.parametrize("after", ["PostgreSQL and Redis", "writer, API, worker and followers"])
def test_it_can_be_stopped_before_it_is_up(after: str) -> None:
    with site() as found:
        found.begin()
        found.read_until(f"starting {after}")
        found.stop()
