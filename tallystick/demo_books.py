"""What the demo looks at behind the counter: the books, and the whole log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.verify import Report, verify
from projections.books import verify as checkers
from projections.books.beancount import Beancount
from projections.books.export import export
from projections.books.follower import BooksFollower
from projections.books.identities import broken
from projections.errors import CheckerMissing, Differences
from tallystick.read_models import bean_check, current, own_pool
from tallystick.settings import Settings


class Books(Struct, frozen=True, kw_only=True):
    """An export, and bean-check's complaints; ``checked`` is None where it is not installed, ``install`` says how."""

    entries: int
    position: int
    files: tuple[Path, ...]
    checked: tuple[str, ...] | None
    install: str = ""


def export_books(settings: Settings, out: Path) -> Books:
    """Bring the books up to date, prove their identities, write them for beancount, and have bean-check look.

    :raises Differences: an identity does not hold.
    """
    fmt = Beancount(settings.book_currency)
    with own_pool(settings) as pool:
        driver = Driver(pool)
        current(BooksFollower(settings.book_currency), driver)
        if wrong := driver.drive(broken()):
            raise Differences([f"event {one.position}: {one.what}" for one in wrong])
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as connection:
        written = export(connection, out, fmt)
    try:
        found = checkers.verify(checkers.BEAN_CHECK, bean_check(settings), out)
    except CheckerMissing as missing:
        return Books(
            entries=written.entries, position=written.position, files=written.files, checked=None, install=str(missing)
        )
    return Books(entries=written.entries, position=written.position, files=written.files, checked=found.complaints)


def verify_log(settings: Settings) -> Report:
    """Replay the whole log against its hashes and the stored state."""
    pool: ConnectionPool[Any] = own_pool(settings)
    with pool:
        return Driver(pool).drive(verify())
