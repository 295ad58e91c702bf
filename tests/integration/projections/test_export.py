"""Exports of the books, checked by the programs that bookkeepers use, with zero tolerance."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator
from pathlib import Path
from random import Random

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver, catch_up
from projections.books.beancount import Beancount
from projections.books.export import Export, export
from projections.books.follower import BooksFollower
from projections.books.formats import Format
from projections.books.hledger import Hledger
from projections.books.identities import trial_balance
from projections.books.replay import replay
from projections.books.verify import BEAN_CHECK, HLEDGER, Checker, verify
from projections.errors import CheckerMissing, ExportError
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock
from tests.support.servers import Database

DAY_S = 86_400
FORMATS: dict[str, tuple[Format, Checker]] = {
    "bean-check": (Beancount("USD"), BEAN_CHECK),
    "hledger": (Hledger(), HLEDGER),
}


@pytest.fixture
def booked(database: Database, pool: ConnectionPool) -> Generator[Driver]:
    """Books of a random history over several months."""
    clock = ManualClock()
    ledger, connection = mirrored(database.writer_url, clock)
    history = History(ledger, clock, Random(11))
    for _ in range(8):
        history.play(70)
        clock.pass_s(11 * DAY_S)
    driver = Driver(pool)
    catch_up(driver, [BooksFollower("USD")])
    yield driver
    connection.close()


def write(database: Database, out: Path, fmt: Format) -> Export:
    with psycopg.connect(database.serving_url) as connection:
        return export(connection, out, fmt)


@pytest.mark.parametrize("program", FORMATS)
def test_an_export_of_several_months_passes_its_checker(
    booked: Driver, database: Database, tmp_path: Path, require: Callable[[str], Path], program: str
) -> None:
    fmt, checker = FORMATS[program]
    written = write(database, tmp_path, fmt)
    months = [file.stem for file in written.files]
    assert months == sorted(months)
    assert months[-3:] == ["2026-01", "2026-02", "2026-03"]
    assert months[0] < "2026-01", "what was entered for an earlier day is booked there"
    verified = verify(checker, require(program), tmp_path)
    assert (verified.files, verified.complaints) == (len(months), ())
    assert written.entries > 200


@pytest.mark.parametrize("program", FORMATS)
def test_one_wrong_last_digit_anywhere_fails_the_checker(
    booked: Driver, database: Database, tmp_path: Path, require: Callable[[str], Path], program: str
) -> None:
    fmt, checker = FORMATS[program]
    written = write(database, tmp_path, fmt)
    for file, account in zip(
        written.files[-3:], ("Income:Usage:Gross", "Customer:Held", "Deferred:CreditPacks"), strict=True
    ):
        before = file.read_text()
        amount = re.compile(rf"(?P<account>{account} +-?[0-9.]*)(?P<last>[0-9])(?P<rest> [A-Z]+\n)")
        broken = amount.sub(lambda m: f"{m['account']}{(int(m['last']) + 1) % 10}{m['rest']}", before, count=1)
        assert broken != before
        file.write_text(broken)
        complaints = verify(checker, require(program), tmp_path).complaints
        assert [complaint for complaint in complaints if complaint.startswith(f"{file.name}: {checker.name} refuses")]
        file.write_text(before)
    assert verify(checker, require(program), tmp_path).complaints == ()


def test_an_event_that_is_there_twice_passes_the_checker_and_is_found_by_replay(
    booked: Driver, database: Database, tmp_path: Path, require: Callable[[str], Path]
) -> None:
    written = write(database, tmp_path, Beancount("USD"))
    first = next(file for file in written.files if '* "hold"' in file.read_text())
    entries = first.read_text().split("\n\n")
    release = next(entry for entry in entries if '* "hold"' in entry)
    give_back = release.replace("Available ", "Nowhere ").replace("Held ", "Available ").replace("Nowhere ", "Held ")
    give_back = re.sub(r'event: "\d+"', 'event: "999999"', give_back)
    place = entries.index(release)
    first.write_text("\n\n".join([*entries[:place], release, give_back, *entries[place:]]))
    complaints = verify(BEAN_CHECK, require("bean-check"), tmp_path).complaints
    assert len(complaints) == 1
    assert "is there twice" in complaints[0]


def test_a_micro_moved_between_two_commits_of_one_grant_passes_the_checker_and_is_found_by_replay(
    booked: Driver, database: Database, tmp_path: Path, require: Callable[[str], Path]
) -> None:
    written = write(database, tmp_path, Beancount("USD"))
    file = next(file for file in written.files if '* "commit"' in file.read_text())
    commits = re.compile(
        r"(?P<deferred>Deferred:CreditPacks +)(?P<one>[0-9.]+)(?P<to> USD\n  Income:Usage:Gross +)-(?P=one)"
    )
    shift = iter((1, -1))

    def moved(found: re.Match[str]) -> str:
        amount = round(float(found["one"]) * 1_000_000) + next(shift)
        text = f"{amount // 1_000_000}.{amount % 1_000_000:06d}"
        return f"{found['deferred']}{text}{found['to']}-{text}"

    file.write_text(commits.sub(moved, file.read_text(), count=2))
    complaints = verify(BEAN_CHECK, require("bean-check"), tmp_path).complaints
    assert len(complaints) == 2
    assert all("the formula says" in complaint for complaint in complaints)


def test_each_month_opens_with_what_the_one_before_closed_with(
    booked: Driver, database: Database, tmp_path: Path
) -> None:
    months = [file.read_text() for file in write(database, tmp_path, Beancount("USD")).files]
    amounts = re.compile(r"(?:balance|^ ) ?(\S+) +(-?[0-9.]+) ([A-Z]+)$", re.MULTILINE)
    for before, after in itertools.pairwise(months):
        closing = {found for found in amounts.findall(before.rsplit("\n\n", 1)[1]) if float(found[1])}
        opening = amounts.findall(after.split("balances brought forward")[1].split("\n\n")[0])
        assert closing == set(opening)


def test_the_trial_balance_is_zero_per_commodity_at_every_sequence(booked: Driver, pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        last = connection.execute("SELECT max(position) FROM book_entries").fetchone()
    assert last is not None
    for position in range(1, last[0] + 1, 7):
        sums: dict[str, int] = {}
        for line in booked.drive(trial_balance(position)):
            sums[line.commodity] = sums.get(line.commodity, 0) + line.balance
        assert set(sums.values()) <= {0}


def test_two_exports_of_the_same_books_are_the_same_bytes(booked: Driver, database: Database, tmp_path: Path) -> None:
    one = write(database, tmp_path / "one", Beancount("USD"))
    other = write(database, tmp_path / "other", Beancount("USD"))
    assert [file.read_bytes() for file in one.files] == [file.read_bytes() for file in other.files]


def test_books_without_an_entry_export_to_no_file(database: Database, tmp_path: Path) -> None:
    assert write(database, tmp_path, Beancount("USD")).files == ()
    assert replay([]) == []


def test_a_folder_that_cannot_be_written_is_a_clear_error(booked: Driver, database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="file"):
        write(database, tmp_path / "file", Beancount("USD"))


def test_a_missing_checker_says_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(CheckerMissing, match="TALLYSTICK_BEAN_CHECK"):
        verify(BEAN_CHECK, tmp_path / "bean-check", tmp_path)
