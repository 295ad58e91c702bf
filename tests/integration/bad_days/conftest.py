"""Whole sites of processes, on servers of this test process where the servers are not what dies."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.conftest import SECRET
from tests.support.servers import Database
from tests.support.site import RunningSite, site


@pytest.fixture
def running(database: Database, redis_url: str) -> Generator[RunningSite]:
    """A site that is up, on servers that stay up."""
    addresses = {
        "DATABASE_URL": database.serving_url,
        "DATABASE_OWNER_URL": database.owner_url,
        "DATABASE_WRITER_URL": database.writer_url,
        "REDIS_URL": redis_url,
        "TALLYSTICK_SECRET": SECRET,
    }
    with site(addresses) as found:
        found.start()
        yield found
