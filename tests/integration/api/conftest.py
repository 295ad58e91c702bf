"""One API for the tests of a module, on servers of its own database; each test signs up customers of its own."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import redis

from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.embedded.redis import EmbeddedRedis
from tallystick.settings import Settings
from tests.support import servers
from tests.support.api import Site, serving


@pytest.fixture(scope="module")
def module_settings(
    postgres_server: EmbeddedPostgres, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Settings]:
    """Settings on a database of the module's own."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder: Path = tmp_path_factory.mktemp("api")
    with servers.database_from(postgres_server, servers.MIGRATED) as database:
        yield Settings(
            data_dir=folder,
            secret="a secret for tests, of at least thirty-two bytes",
            database_url=database.serving_url,
            database_owner_url=database.owner_url,
            database_writer_url=database.writer_url,
            redis_url=redis_server.url,
            sandbox=True,
        )


@pytest.fixture(scope="module")
def site(module_settings: Settings) -> Generator[Site]:
    """The API, without quotas; followers run when a test says so."""
    with serving(module_settings) as found:
        yield found
