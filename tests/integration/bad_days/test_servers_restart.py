"""Redis is emptied and PostgreSQL restarted under running jobs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator

import pytest
import redis

from migrations import runner
from tallystick.embedded import folders
from tallystick.embedded.postgres import DATABASE, EmbeddedPostgres
from tests.conftest import SECRET
from tests.support import instances, servers
from tests.support.site import RunningSite, site

pytestmark = pytest.mark.timeout(150)


def test_redis_emptied_while_jobs_run_costs_time_only(running: RunningSite, redis_url: str) -> None:
    jobs = running.order_until_one_runs(behind=4)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(20):
            client.flushall()
            jobs.append(running.order())
    assert {job["state"] for job in running.check(jobs)} == {"succeeded"}


@contextlib.contextmanager
def postgres() -> Generator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, migrated."""
    with servers.folder_for_servers() as folder:
        server = EmbeddedPostgres(folder, folders.service_user("nobody"))
        server.start()
        try:
            runner.migrate(server.owner_url, serving_role="tallystick", writing_role="tallystick_writer")
            yield server
        finally:
            server.stop()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["in order", "killed"])
def test_postgresql_restarted_while_jobs_run_loses_nothing(redis_url: str, how: signal.Signals) -> None:
    with postgres() as server:
        assert DATABASE in server.serving_url
        addresses = {
            "DATABASE_URL": server.serving_url,
            "DATABASE_OWNER_URL": server.owner_url,
            "DATABASE_WRITER_URL": server.writer_url,
            "REDIS_URL": redis_url,
            "TALLYSTICK_SECRET": SECRET,
        }
        with site(addresses) as found:
            found.start()
            jobs = found.order_until_one_runs(behind=3)
            restart(server, how)
            jobs += [found.order() for _ in range(3)]
            ended = found.check(jobs)
            assert len(ended) == len(jobs), "one order, one job"
            assert {job["state"] for job in ended} == {"succeeded"}


def restart(server: EmbeddedPostgres, how: signal.Signals) -> None:
    """Stop it, or kill it with all its processes; then start it again where it was."""
    if how is signal.SIGKILL:
        instances.kill({server.pid, *instances.descendants(server.pid)})
    server.stop()
    server.start()
