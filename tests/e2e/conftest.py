"""One stage and one browser a module; a window of its own for each test.

Not a process: while a browser is open, Playwright keeps an event loop running in the main thread, in which no other
test could run its own.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
import redis
from playwright.sync_api import Browser

from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.embedded.redis import EmbeddedRedis
from tests.support import pages, servers
from tests.support.pages import Person, Stage


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Chromium."""
    with pages.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def stage(browser: Browser, postgres_server: EmbeddedPostgres, redis_server: EmbeddedRedis) -> Generator[Stage]:
    """The whole program; not started where there is no browser to look at it."""
    del browser
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with (
        servers.database_from(postgres_server, servers.MIGRATED) as database,
        pages.stage(database, redis_server.url) as found,
    ):
        yield found


@pytest.fixture
def person(stage: Stage, browser: Browser) -> Generator[Person]:
    """Somebody at a desk."""
    with pages.person(stage, browser) as found:
        yield found
