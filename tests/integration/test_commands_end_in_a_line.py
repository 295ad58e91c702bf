"""Every command ends with a line where its surroundings are not as they should be, never with a trace."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import psycopg
import pytest
from psycopg import sql

from ledger.store.postgres import PostgresLedger
from tallystick.__main__ import main
from tallystick.cli.group import tallystick
from tallystick.settings import Settings
from tests.conftest import SECRET
from tests.support.ledger import hold, open_account
from tests.support.servers import Database

ORGANISATION, ACCOUNT, KEY = (f"{kind}_{'0' * 31}1" for kind in ("org", "acc", "key"))
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
OF_ORGANISATION = ("--organisation", ORGANISATION)

WITHOUT_DATABASE = {
    ("heads", "key"): ("--make",),
    ("proof", "verifier"): (),
    ("simulate",): ("--steps", "1"),
}
"""Commands that need none."""
ON_A_SCHEMA = {
    ("archive",): ("--to", "copies"),
    ("balance",): (ACCOUNT,),
    ("books", "export"): ("--out", "books"),
    ("books", "trial-balance"): (),
    ("events",): (),
    ("export",): ("--to", "log.gz"),
    ("follow",): (),
    ("generate",): ("a lake", *OF_ORGANISATION, "--no-wait"),
    ("heads", "export"): ("--every", "1"),
    ("import",): ("empty.gz",),
    ("keys", "create"): (*OF_ORGANISATION, "--name", "n"),
    ("keys", "list"): OF_ORGANISATION,
    ("keys", "revoke"): (KEY, *OF_ORGANISATION),
    ("keys", "rotate"): (KEY, *OF_ORGANISATION),
    ("keys", "sign-up"): ("Ada",),
    ("proof", "consistency"): ("1", "2"),
    ("proof", "event"): ("1",),
    ("proof", "head"): (),
    ("proof", "statement-line"): ("1",),
    ("recover",): (),
    ("serve",): (),
    ("statement",): OF_ORGANISATION,
    ("topup",): (*OF_ORGANISATION, "--credits", "1"),
    ("verify",): (),
    ("work",): (),
    ("write",): (),
}
"""Commands that go on where the database is this program's alone."""
ON_ANY_DATABASE = {
    ("bench", "as-of"): (),
    ("bench", "http"): (),
    ("bench", "ledger"): ("--quick",),
    ("demo",): (),
    ("doctor",): (),
    ("migrate",): (),
    ("run",): (),
}
"""Commands that bring their own schema, or say what is missing."""
IN_A_PROCESS = {("demo",), ("run",)}
"""They start others and take signals: not in the process of tests."""


class Ended(NamedTuple):
    """How a command ended: what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    """Names of all commands, those of a group behind its own."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


def test_every_command_is_walked_through() -> None:
    assert set(commands(tallystick)) == {*WITHOUT_DATABASE, *ON_A_SCHEMA, *ON_ANY_DATABASE}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder with a database and no Redis; an error that is no line fails the test."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))

    def run(*words: object, database: Database | None = None) -> Ended:
        settings = {
            "DATABASE_URL": database.serving_url if database else NOWHERE,
            "DATABASE_OWNER_URL": database.owner_url if database else NOWHERE,
            "DATABASE_WRITER_URL": database.writer_url if database else NOWHERE,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "TALLYSTICK_SECRET": SECRET,
            "TALLYSTICK_DATA_DIR": str(tmp_path / "data"),
            "TALLYSTICK_PORT": "0",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tallystick", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return run


def refusal(ended: Ended) -> str:
    """The one line that says what is wrong, the last one."""
    assert ended.code in {1, 2}, ended
    *before, last = ended.err.splitlines()
    assert last.lower().startswith("error: "), ended.err
    assert not any("error" in line.lower() for line in before), ended.err
    return last


@pytest.mark.parametrize("command", [*ON_A_SCHEMA, *ON_ANY_DATABASE], ids=" ".join)
def test_without_its_database_a_command_ends_with_a_line(command: tuple[str, ...], run: Run) -> None:
    words = (*command, *(ON_A_SCHEMA | ON_ANY_DATABASE)[command])
    if command in IN_A_PROCESS:
        ended = in_a_process(run, *words)
        assert ended.code == 1 and "Connection refused" in ended.out + ended.err and "Traceback" not in ended.err
    elif command == ("doctor",):
        ended = run(*words)
        assert ended.code == 1 and "FAIL" in ended.out
    else:
        assert "the database does not answer: connection failed" in refusal(run(*words))


def in_a_process(run: Run, *words: str) -> Ended:
    """The same as a process of its own, in the surroundings that ``run`` makes."""
    run("proof", "verifier")
    ended = subprocess.run(
        [sys.executable, "-m", "tallystick", *words], env=os.environ, capture_output=True, text=True, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("command", ON_A_SCHEMA, ids=" ".join)
def test_on_a_database_that_is_not_migrated_a_command_says_what_to_run(
    command: tuple[str, ...], run: Run, empty_database: Database
) -> None:
    ended = run(*command, *ON_A_SCHEMA[command], database=empty_database)
    assert refusal(ended).endswith("run tallystick migrate")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER DATABASE {} SET default_transaction_read_only = on", "in a read-only transaction"),
        ("ALTER TABLE proof_state RENAME TO elsewhere", "proof_state"),
    ],
    ids=["it only reads", "a table is lacking"],
)
def test_where_its_database_refuses_a_command_ends_with_a_line(
    change: str, words: str, run: Run, written: Database
) -> None:
    with psycopg.connect(written.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL(change).format(sql.Identifier(written.name)))  # type: ignore[arg-type]  one of ours
    told = refusal(run("heads", "export", database=written))
    assert told.startswith("error: the database refuses: ") and words in told


@pytest.mark.parametrize("command", WITHOUT_DATABASE, ids=" ".join)
def test_what_needs_no_database_asks_for_none(command: tuple[str, ...], run: Run) -> None:
    assert run(*command, *WITHOUT_DATABASE[command]).code == 0


FOLDERS = {
    ("archive",): ("--range", "32", "--to"),
    ("books", "export"): ("--out",),
    ("heads", "export"): ("--to",),
}
FILES = {
    ("export",): ("--to",),
    ("proof", "consistency"): ("1", "2", "--out"),
    ("proof", "event"): ("1", "--out"),
    ("proof", "head"): ("--out",),
    ("proof", "statement-line"): ("2", "--out"),
    ("proof", "verifier"): ("--out",),
}


@pytest.fixture
def written(database: Database, postgres_ledger: PostgresLedger) -> Database:
    """A database with enough in it for a file of each kind."""
    account_id = open_account(postgres_ledger, credit=100)
    for _ in range(40):
        hold(postgres_ledger, account_id, 1)
    return database


@pytest.mark.parametrize("command", [*FOLDERS, *FILES], ids=" ".join)
def test_a_target_that_cannot_be_written_is_named(
    command: tuple[str, ...], run: Run, written: Database, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("where a folder should be")
    for place in ("a-file/below", "nowhere/below") if command in FILES else ("a-file/below",):
        words = (*command, *(FOLDERS | FILES)[command], tmp_path / place)
        assert place.split("/")[0] in refusal(run(*words, database=written))
    assert not (tmp_path / "nowhere").exists()


def test_a_data_folder_that_cannot_be_used_is_named(run: Run, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("where a folder should be")
    assert settings.data_dir == tmp_path / "data"
    for command in (("heads", "key", "--make"), ("events",)):
        assert "data" in refusal(run(*command))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
@pytest.mark.parametrize("option", ["--effective", "--at"])
def test_a_time_that_utc_does_not_have_is_a_usage_error(at: str, option: str, run: Run) -> None:
    ended = run("balance", ACCOUNT, option, at)
    assert ended.code == 2 and "expected a time such as" in ended.err


@pytest.mark.parametrize("reason", ["", "Restored", "a sentence", "ada@example.com", "a\n", "x" * 65])
def test_a_reason_that_is_no_code_is_a_usage_error(reason: str, run: Run) -> None:
    ended = run("recover", "--accept", "--operator", "0" * 32, "--reason", reason)
    assert ended.code == 2 and "expected a code such as restored-backup" in ended.err
