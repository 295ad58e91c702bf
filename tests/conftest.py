"""Fixtures for all tests: real servers, a database of each test's own, tools that may be missing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
from psycopg_pool import ConnectionPool

from ledger.store.postgres import PostgresLedger
from tallystick.clock import SystemClock
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.embedded.redis import EmbeddedRedis
from tallystick.settings import CONFIG_VARIABLE, Settings, variables
from tests.support import requirements, servers
from tests.support.servers import Database

TESTS = Path(__file__).parent
WITHOUT_NETWORK = [TESTS / "unit", TESTS / "properties", TESTS / "simulation"]
SECRET = "a secret for tests, of at least thirty-two bytes"

# Where everything is required, whether a change may land must not depend on what hypothesis happens to find that day:
# it tries the same each time. Everywhere else it keeps searching. Slow is not wrong, on a machine that others use too.
if os.environ.get(requirements.REQUIRE_ALL):
    hypothesis.settings.load_profile("ci")
hypothesis.settings.register_profile(
    "tallystick", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tallystick")

# A developer's own settings are not the tests': what a test wants set, it sets.
for name in [CONFIG_VARIABLE, *(variable.name for variable in variables().values())]:
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[EmbeddedPostgres]:
    """This test process's PostgreSQL. Tests that stop or kill a server start one of their own."""
    with servers.postgres_with_template() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Generator[EmbeddedRedis]:
    """This test process's Redis."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Generator[Database]:
    """A migrated database of the test's own."""
    with servers.database_from(postgres_server, servers.MIGRATED) as found:
        yield found


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Generator[Database]:
    """A database of the test's own without a table."""
    with servers.database_from(postgres_server, servers.EMPTY) as found:
        yield found


@pytest.fixture
def pool(database: Database) -> Generator[ConnectionPool[Any]]:
    """Connections of the serving role."""
    with ConnectionPool(database.serving_url, min_size=1, max_size=8, open=True) as found:
        yield found


@pytest.fixture
def postgres_ledger(database: Database, pool: ConnectionPool[Any]) -> Generator[PostgresLedger]:
    """The ledger on a database of the test's own, with its writer's thread."""
    ledger = PostgresLedger(database.writer_url, pool, clock=SystemClock(), secret=SECRET.encode(), sleep=time.sleep)
    yield ledger
    ledger.close()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """Address of an emptied Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def settings(database: Database, redis_url: str, tmp_path: Path) -> Settings:
    """The product's settings on a database, a Redis and a data folder of the test's own."""
    return Settings(
        data_dir=tmp_path / "data",
        secret=SECRET,
        database_url=database.serving_url,
        database_owner_url=database.owner_url,
        database_writer_url=database.writer_url,
        redis_url=redis_url,
        sandbox=True,
        port=0,
    )


@pytest.fixture
def require() -> Callable[[str], Path]:
    """The path of a tool; where it is missing the test is not run, or fails if everything is required."""
    return requirements.require


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(folder in request.path.parents for folder in WITHOUT_NETWORK):

        def refuse(*_: Any) -> None:
            raise AssertionError("a unit test opens no connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with the list of what this machine lacks."""
    skipped = terminalreporter.stats.get("skipped", [])
    lines = requirements.closing_list(str(report.longrepr) for report in skipped)
    if lines:
        terminalreporter.section("not run on this machine")
        for line in lines:
            terminalreporter.line(line)
