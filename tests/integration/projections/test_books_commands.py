"""The commands of the read side, on a history in a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from ledger.ids import render
from tallystick.cli.group import tallystick
from tallystick.settings import Settings
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock
from tests.support.requirements import ROOT


@pytest.fixture
def history(settings: Settings) -> Generator[History]:
    assert settings.database_writer_url
    clock = ManualClock()
    ledger, connection = mirrored(settings.database_writer_url, clock)
    played = History(ledger, clock, Random(5))
    played.play(120)
    yield played
    connection.close()


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "DATABASE_URL": str(settings.database_url),
        "DATABASE_OWNER_URL": str(settings.database_owner_url),
        "DATABASE_WRITER_URL": str(settings.database_writer_url),
        "REDIS_URL": str(settings.redis_url),
        "TALLYSTICK_SECRET": str(settings.secret),
        "TALLYSTICK_DATA_DIR": str(settings.data_dir),
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., Result]:
    """A command's result."""
    return lambda *arguments: CliRunner().invoke(tallystick, [str(one) for one in arguments], env=environment)


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_books_are_exported_and_checked_by_one_command(
    history: History, run: Callable[..., Result], tmp_path: Path, require: Callable[[str], Path]
) -> None:
    require("bean-check")
    require("hledger")
    for wanted in ("beancount", "hledger"):
        found = answer(run("books", "export", "--format", wanted, "--out", tmp_path, "--check", "--json"))
        assert found["checked"]["files"] == len(found["files"]) > 0
        assert found["checked"]["complaints"] == []
        assert found["entries"] > 50


def test_books_with_a_broken_identity_are_not_exported(
    history: History, run: Callable[..., Result], settings: Settings, tmp_path: Path
) -> None:
    answer(run("books", "trial-balance", "--json"))
    with psycopg.connect(str(settings.database_url)) as connection:
        connection.execute("UPDATE book_legs SET debit = debit + 1 WHERE debit > 0 AND position % 3 = 0")
    result = run("books", "export", "--out", tmp_path / "books")
    assert result.exit_code == 1
    assert "an entry does not balance" in result.output
    assert not (tmp_path / "books").exists()


def test_the_trial_balance_of_any_position_sums_to_zero(history: History, run: Callable[..., Result]) -> None:
    for arguments in ((), ("--at", 20), ("--at", 0), ("--at", 10**9)):
        found = answer(run("books", "trial-balance", *arguments, "--json"))
        assert found["position"] <= history.ledger.head()
        for commodity in ("USD", "CREDIT"):
            amounts = [line["balance"] for line in found["accounts"] if line["commodity"] == commodity]
            assert sum(int(amount.replace(".", "")) for amount in map(six, amounts)) == 0


def six(amount: str) -> str:
    whole, _, part = amount.partition(".")
    return f"{whole}.{part:0<6}"


def test_a_statement_shows_the_newest_lines_in_order(history: History, run: Callable[..., Result]) -> None:
    account_id, organisation_id = next(iter(history.organisations.items()))
    first = min(account for account, owner in history.organisations.items() if owner == organisation_id)
    found = answer(run("statement", "--organisation", render("org", organisation_id), "--json"))
    assert found["account"] == render("acc", first)
    chosen = ("--account", render("acc", account_id), "--limit", 5)
    found = answer(run("statement", "--organisation", render("org", organisation_id), *chosen, "--json"))
    positions = [line["position"] for line in found["lines"]]
    assert positions == sorted(positions)
    assert len(positions) == 5
    text = run("statement", "--organisation", render("org", organisation_id)).output
    assert "available" in text.splitlines()[0]


@pytest.mark.parametrize("wrong", ["org_1", "acc_" + "0" * 32, ""])
def test_an_id_that_is_none_is_refused(run: Callable[..., Result], wrong: str) -> None:
    result = run("statement", "--organisation", wrong)
    assert result.exit_code == 2
    assert "org_" in result.output


def test_verify_compares_read_models_with_the_log(
    history: History, run: Callable[..., Result], settings: Settings
) -> None:
    assert run("books", "trial-balance").exit_code == 0
    with psycopg.connect(str(settings.database_url)) as connection:
        connection.execute("UPDATE book_entries SET kind = 'other' WHERE position % 5 = 0")
    result = run("verify", "--json")
    found = json.loads(result.stdout)
    if found["findings"]:
        pytest.fail(str(found["findings"]))
    assert result.exit_code == 1
    assert "book_entries" in found["projections"]["differences"][0]["what"]
    assert run("follow", "--rebuild", "books").exit_code == 0
    assert run("verify").exit_code == 0


def test_rebuilding_what_is_no_read_model_names_those_there_are(run: Callable[..., Result]) -> None:
    result = run("follow", "--rebuild", "events")
    assert result.exit_code == 2
    assert "statement" in result.output
    assert "books" in result.output


def test_followers_keep_up_until_they_are_told_to_stop(
    history: History, environment: dict[str, str], settings: Settings
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tallystick", "follow"], cwd=ROOT, env={**os.environ, **environment}
    )
    try:
        wait_for(settings, history.ledger.head())
        history.play(20)
        wait_for(settings, history.ledger.head())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # what the sweep asks of a writer that is not there ends at its deadline


def wait_for(settings: Settings, head: int) -> None:
    """Wait until all read models are at the head."""
    positions: dict[str, int] = {}
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with psycopg.connect(str(settings.database_url)) as connection:
            positions = dict(connection.execute("SELECT name, position FROM followers").fetchall())
        if positions.get("books") == positions.get("statement") == head:
            return
        time.sleep(0.05)
    pytest.fail(f"at {positions}, the log at {head}")
