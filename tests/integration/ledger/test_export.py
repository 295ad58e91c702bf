"""Export and import: the same log, the same state, the same answers; broken files leave nothing behind."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Generator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg_pool import ConnectionPool

from ledger.domain import commands
from ledger.domain.verdicts import Answer
from ledger.drivers import Driver
from ledger.ports import Request
from ledger.store.postgres import PostgresLedger
from ledger.verify import verify
from tallystick.cli.group import tallystick
from tallystick.clock import SystemClock
from tallystick.embedded.postgres import EmbeddedPostgres
from tests.conftest import SECRET
from tests.support import servers
from tests.support.histories import History, mirrored
from tests.support.ledger import CREDIT, ManualClock, grant, hold, request
from tests.support.servers import Database

TABLES = {
    "events": "notification_id",
    "verdicts": "key_hash",
    "account_states": "account_id",
    "holds": "hold_id",
    "grants": "account_id, grant_id",
    "budgets": "budget_id",
    "budget_usage": "budget_id, window_start",
    "account_snapshots": "account_id, version",
    "log_head": "position",
}


class Asked(History):
    """Remembers what it asked and what it was told."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.told: list[tuple[Request, Answer]] = []

    def submit(self, command: commands.Command, **more: Any) -> Answer:
        asked = request(command, **{"origin": self.dice.choice(["caller", "system"])} | more)
        answer = self.ledger.submit(asked)
        self.told.append((asked, answer))
        return answer


@pytest.fixture
def history(database: Database, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr("ledger.writer.appending.SNAPSHOT_EVERY", 16)
    monkeypatch.setattr("ledger.checks.replay.SNAPSHOT_EVERY", 16)
    clock = ManualClock()
    twin, connection = mirrored(database.writer_url, clock)
    twin._secret = SECRET.encode()
    played = Asked(twin, clock, Random(11))
    played.play(200)
    budget = commands.SetBudget(
        budget_id=uuid4(), organisation_id=uuid4(), subject="key", window="month", limit_ucr=5 * CREDIT
    )
    twin.submit(request(budget, scope_id=budget.organisation_id))
    account_id = uuid4()
    twin.submit(request(commands.OpenAccount(account_id=account_id, organisation_id=budget.organisation_id)))
    grant(twin, account_id, 3 * CREDIT)
    hold(twin, account_id, CREDIT, budgets=(budget.budget_id,))
    connection.close()
    return played


@pytest.fixture
def other(postgres_server: EmbeddedPostgres) -> Generator[Database]:
    with servers.database_from(postgres_server, servers.MIGRATED) as found:
        yield found


@pytest.fixture
def run(redis_url: str, tmp_path: Path) -> Callable[..., Result]:
    def at(database: Database, *arguments: Any) -> Result:
        environment = {
            "DATABASE_URL": database.serving_url,
            "DATABASE_OWNER_URL": database.owner_url,
            "REDIS_URL": redis_url,
            "TALLYSTICK_SECRET": SECRET,
            "TALLYSTICK_DATA_DIR": str(tmp_path / database.name),
        }
        return CliRunner().invoke(tallystick, [str(one) for one in arguments], env=environment)

    return at


@pytest.fixture
def exported(database: Database, history: Asked, run: Callable[..., Result], tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl.gz"
    result = run(database, "export", "--to", path, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["events"] == history.ledger.head()
    return path


def content(database: Database, table: str) -> list[Any]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY {TABLES[table]}".encode()).fetchall()


def ended(database: Database) -> list[Any]:
    """Rows of grants; that of one that is live again means nothing, and an import does not make it."""
    states = {row[0]: row[5] for row in content(database, "account_states")}
    return [row for row in content(database, "grants") if row[1].bytes not in states[row[0]]]


def is_empty(database: Database) -> bool:
    return [len(content(database, table)) for table in TABLES] == [0] * 8 + [1]


def test_invariant_38_an_import_has_the_same_bytes_in_every_table(
    database: Database, other: Database, exported: Path, run: Callable[..., Result]
) -> None:
    result = run(other, "import", exported)
    assert result.exit_code == 0, result.output
    for table in TABLES:
        before, after = (ended(one) if table == "grants" else content(one, table) for one in (database, other))
        assert before == after and before, table
    with ConnectionPool(other.serving_url, min_size=1, max_size=1, open=True) as pool:
        assert Driver(pool).drive(verify()).findings == ()


def test_invariant_38_every_old_key_has_its_old_answer_after_an_import(
    other: Database, history: Asked, exported: Path, run: Callable[..., Result]
) -> None:
    assert run(other, "import", exported).exit_code == 0
    with ConnectionPool(other.serving_url, min_size=1, max_size=2, open=True) as pool:
        ledger = PostgresLedger(
            other.writer_url, pool, clock=SystemClock(), secret=SECRET.encode(), sleep=lambda _s: None
        )
        kept = [(asked, was) for asked, was in history.told if was.verdict is not None]
        replayed = 0
        for asked, was in kept:
            if type(was.verdict).__name__ == "Refused" and asked.origin == "system":
                continue
            again = ledger.submit(asked)
            assert (again.verdict, again.replayed) == (was.verdict, True)
            replayed += 1
        assert replayed > 50
        head = ledger.head()
        opened = commands.OpenAccount(account_id=uuid4(), organisation_id=uuid4())
        assert ledger.submit(request(opened)).replayed is False and ledger.head() == head + 1
        ledger.close()


def test_an_import_goes_into_an_empty_database_only(
    database: Database, other: Database, exported: Path, run: Callable[..., Result]
) -> None:
    refused = run(database, "import", exported)
    assert refused.exit_code == 1 and "not empty" in refused.output
    assert run(other, "import", exported).exit_code == 0
    assert run(other, "import", exported).exit_code == 1


def patched(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    broken = path.with_name("broken.gz")
    broken.write_bytes(gzip.compress(b"".join(change(lines))))
    return broken


def edit(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        events = [index for index, line in enumerate(lines) if line.startswith(b'["event",%d,' % number)]
        assert old in lines[events[0]]
        lines[events[0]] = lines[events[0]].replace(old, new, 1)
        return lines

    return change


def without(prefix: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [line for line in lines if not line.startswith(prefix)]


def twice(number: int, *, behind: int) -> Callable[[list[bytes]], list[bytes]]:
    """The verdict at an event stands there once more, behind so many of the lines that follow it."""

    def change(lines: list[bytes]) -> list[bytes]:
        found = [index for index, line in enumerate(lines) if line.startswith(b'["verdict",%d,' % number)]
        at = found[0] + 1 + behind
        return [*lines[:at], lines[found[0]], *lines[at:]]

    return change


BROKEN = {
    "a verdict twice": (twice(4, behind=0), "event 4: a second verdict"),
    "another version": (edit(7, b".v1", b".v9"), "event 7: its hash does not fit"),
    "an event gone": (without(b'["event",9,'), "event 9: missing"),
    "a verdict gone": (without(b'["verdict",4,'), "event 4: "),
    "no end": (lambda lines: lines[:-1], "has no end"),
    "cut in a line": (lambda lines: [*lines[:20], lines[20][:30]], "has no end"),
    "events cut off its end": (lambda lines: [*lines[:30], lines[-1]], "(sound up to event 1"),
    "something behind its end": (lambda lines: [*lines, lines[-2]], "behind the end"),
    "nonsense": (lambda lines: [*lines[:12], b'["event","x"]\n', *lines[12:]], "cannot be read"),
    "another kind": (lambda _lines: [b'{"hello":1}\n'], "no export of a ledger"),
}


def test_a_verdict_twice_is_named_wherever_a_page_ends(
    other: Database, exported: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = patched(exported, twice(4, behind=0))
    for page in (1, 2, 3, 5, 7):
        monkeypatch.setattr("ledger.checks.loading.PAGE", page)
        result = run(other, "import", path)
        assert result.exit_code == 1 and "event 4: a second verdict" in result.output, (page, result.output)
        assert is_empty(other)


def test_what_the_database_refuses_of_a_file_ends_in_a_line_too(
    other: Database, exported: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorten_a_key(lines: list[bytes]) -> list[bytes]:
        return [re.sub(rb'^(\["verdict",4,)"[^"]+"', rb'\1"AAAA"', line) for line in lines]

    monkeypatch.setattr("ledger.checks.loading.PAGE", 1)  # a verdict is checked once the next event comes
    result = run(other, "import", patched(exported, shorten_a_key))
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert f"{exported.parent}" in result.output and is_empty(other)


@pytest.mark.parametrize("kind", BROKEN)
def test_invariant_38_a_broken_file_is_refused_by_position_and_leaves_nothing(
    other: Database, exported: Path, run: Callable[..., Result], kind: str
) -> None:
    change, words = BROKEN[kind]
    result = run(other, "import", patched(exported, change))
    assert result.exit_code == 1
    assert words in result.output, result.output
    assert is_empty(other)


def test_invariant_38_a_truncated_file_is_refused_and_leaves_nothing(
    other: Database, exported: Path, run: Callable[..., Result]
) -> None:
    whole = exported.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 40):
        exported.write_bytes(whole[:size])
        result = run(other, "import", exported)
        assert result.exit_code == 1 and "cut or broken" in result.output, (size, result.output)
        assert is_empty(other)
