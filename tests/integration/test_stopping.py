"""Processes of ours end when they are told to: at any moment, and whatever stands still behind them."""

from __future__ import annotations

import subprocess
import sys
from threading import Thread

import pytest

from tallystick import run_process
from tallystick.run_process import Stopping
from tests.support.requirements import ROOT

JOINED_WITHIN_S = 60.0

SIGNALLED_AT_ANY_STEP = """
import os, signal, sys
from tallystick import run_process

run_process._TURN_S = 0.01

def wait_signalled_at(step):
    left = step
    def count(frame, event, arg):
        nonlocal left
        left -= event == "line"
        if left == 0:
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGTERM)
        return count
    stopping = run_process.until_stopped()
    signal.alarm(10)
    sys.settrace(count)
    stopping.wait()

for step in range(1, 41):
    if (child := os.fork()) == 0:
        wait_signalled_at(step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"it did not notice a signal at step {step} of its waiting"
"""


def run_code(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run some code of the product in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_a_signal_is_noticed_at_whatever_step_of_the_waiting_it_arrives() -> None:
    ended = run_code(SIGNALLED_AT_ANY_STEP)
    assert ended.returncode == 0, ended.stderr


def test_a_stop_is_noticed_at_once_by_every_thread_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_process, "_TURN_S", 600.0)
    stopping = Stopping()
    threads = [Thread(target=stopping.wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert not stopping.wait(0.05) and not stopping.is_set()
    stopping.set()
    for thread in threads:
        thread.join(JOINED_WITHIN_S)
        assert not thread.is_alive()
    assert stopping.wait() and stopping.is_set()
