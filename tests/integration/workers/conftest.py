"""A shop, its nodes and its workers, of one test's own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tallystick.embedded.redis import EmbeddedRedis
from tests.support.jobs import Shop, Site, WorkerUnderTest, standins
from tests.support.nodes import StandIn
from tests.support.servers import Database

TIMES = {"stall_s": 30.0, "pending_s": 30.0, "run_limit_s": 60, "queue_limit_s": 60}
IMPATIENT = {"stall_s": 6.0}


@pytest.fixture
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[list[StandIn]]:
    """Stand-in nodes, one unless the test asks for more by ``parametrize(..., indirect=True)``."""
    with standins(tmp_path, getattr(request, "param", 1), "--step-ms", "10") as found:
        yield found


@pytest.fixture
def site(database: Database, redis_server: EmbeddedRedis, tmp_path: Path, nodes: list[StandIn]) -> Site:
    return Site(
        database_url=database.serving_url,
        writer_url=database.writer_url,
        redis_url=redis_server.url,
        pictures=str(tmp_path / "pictures"),
        nodes=tuple(node.url for node in nodes),
        times=dict(TIMES),
    )


@pytest.fixture
def shop(site: Site, redis_url: str) -> Generator[Shop]:
    """The API's side, with the jobs follower running."""
    del redis_url  # emptied before the test
    found = Shop(site)
    found.start()
    yield found
    found.close()


@pytest.fixture
def impatient(site: Site) -> Callable[[], None]:
    """Lets workers that are started from now on give up a silent node soon, where a test waits for that.

    Elsewhere a machine that stands still for a moment must not make a good node look silent.
    """

    def give_up_soon() -> None:
        site.times = {**(site.times or {}), **IMPATIENT}

    return give_up_soon


@pytest.fixture
def start_worker(site: Site) -> Generator[Callable[[], WorkerUnderTest]]:
    """Starts worker processes, and kills those that are left."""
    workers: list[WorkerUnderTest] = []

    def start() -> WorkerUnderTest:
        workers.append(WorkerUnderTest(site))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()
