"""The followers of this installation, and the checks of what they wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from psycopg_pool import ConnectionPool

from ledger.drivers import Driver, advance, catch_up
from ledger.effective import EffectiveFollower
from ledger.follower import Follower, register
from ledger.proof.follower import ProofFollower
from payments.follower import PaymentsFollower
from projections.books.follower import BooksFollower
from projections.check import Checked, Standing, check, standings
from projections.rebuild import ReadModel, empty
from projections.statement import StatementFollower
from tallystick.errors import NotReady
from tallystick.settings import Settings
from workers.queue.follower import JobsFollower

Progress = Callable[[int, int], None]
"""Called with events folded and events in all."""


def read_models(settings: Settings) -> tuple[ReadModel, ...]:
    """Followers whose rows can be made again from the log alone."""
    return (StatementFollower(), BooksFollower(settings.book_currency), EffectiveFollower())


def followers(settings: Settings) -> tuple[Follower, ...]:
    """All followers; any process may run any of them."""
    return (PaymentsFollower(), JobsFollower(), *rebuildable(settings))


def rebuildable(settings: Settings) -> tuple[ReadModel, ...]:
    """What can be dropped and folded again: read models, and the tree, which ``ledger.verify`` checks itself."""
    return (*read_models(settings), ProofFollower())


def own_pool(settings: Settings) -> ConnectionPool:
    """One connection that nobody else uses."""
    assert settings.database_url is not None, "embedded servers are started first"
    return ConnectionPool(settings.database_url, min_size=1, max_size=1, open=False)


def current(model: ReadModel, driver: Driver) -> Standing:
    """Fold what there is; how far the read model has come.

    :raises NotReady: it is parked at an event.
    """
    catch_up(driver, [model])
    return _standing(model, driver)


def rebuild(model: ReadModel, driver: Driver, head: int, progress: Progress) -> None:
    """Drop a read model's rows and fold the log again, whoever else follows meanwhile.

    :raises NotReady: it parks at an event.
    """
    driver.drive(register(model))
    driver.drive(empty(model))
    while True:
        advance(driver, model)
        position = _standing(model, driver).position
        progress(min(position, head), head)
        if position >= head:
            return


def checked(settings: Settings) -> Checked:
    """Compare read models with the log, folding first what they have not seen."""
    models = read_models(settings)
    with own_pool(settings) as pool:
        driver = Driver(pool)
        catch_up(driver, models)
    with own_pool(settings) as pool:
        return Driver(pool).drive(check(models))


def bean_check(settings: Settings) -> Path | None:
    """The program that checks beancount files: the one configured, on PATH, or in the checkout's own environment."""
    beside = Path(__file__).parents[1] / ".venv-books" / "bin" / "bean-check"
    found = settings.bean_check or shutil.which("bean-check") or shutil.which(beside)
    return Path(found) if found else None


def hledger() -> Path | None:
    """The program hledger, where it is installed."""
    found = shutil.which("hledger")
    return Path(found) if found else None


def _standing(model: ReadModel, driver: Driver) -> Standing:
    found = next(one for one in driver.drive(standings()) if one.name == model.name)
    if found.parked_reason is not None:
        raise NotReady(f"follower {model.name} is parked: {found.parked_reason}")
    return found
