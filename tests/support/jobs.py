"""A whole jobs' side on real servers and stand-in nodes, with workers that can be killed; and what must hold after."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import redis
from msgspec.structs import replace
from PIL import Image
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from ledger.domain import commands
from ledger.drivers import Driver, FollowerThread, catch_up
from ledger.sansio import Statement
from ledger.store.postgres import PostgresLedger
from tallystick.clock import SystemClock, SystemIds
from tests.support.ledger import CREDIT, grant, request
from tests.support.nodes import ROOT, StandIn
from workers.actors import Wakes, redis_broker
from workers.attempt.driver import Workshop
from workers.attempt.heart import Heart
from workers.catalogue import Catalogue, shipped
from workers.driving import Rows, Surroundings
from workers.generation.events import JobSucceeded
from workers.generation.job import fold
from workers.generation.tools import JobParams
from workers.nodes.comfy import ComfyNode
from workers.objects.local import LocalObjects
from workers.pool.config import configured
from workers.process import WorkerParts, WorkerProcess
from workers.progress import RedisProgress
from workers.queue.follower import JobsFollower
from workers.service import JobsParts, JobsService
from workers.views import ENDED, JobView

SECRET = b"a secret for tests"
START_LIMIT_S = 30
END_LIMIT_S = 40.0


@dataclass
class Site:
    """One installation's addresses, as a worker process is given them."""

    database_url: str
    writer_url: str
    redis_url: str
    pictures: str
    nodes: tuple[str, ...]
    threads: int = 4
    times: dict[str, Any] | None = None


class Parts:
    """What a process of ours holds: pool, ledger, store. Close it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.clock, self.ids = SystemClock(), SystemIds()
        self.pool: ConnectionPool[Any] = ConnectionPool(
            site.database_url, min_size=1, max_size=12, open=True, check=ConnectionPool.check_connection
        )
        self.ledger = PostgresLedger(site.writer_url, self.pool, clock=self.clock, secret=SECRET, sleep=time.sleep)
        self.redis = redis.Redis.from_url(site.redis_url, socket_timeout=2.0, socket_connect_timeout=1.0)
        self.catalogue = _quickened(shipped(), site.times)
        self.objects = LocalObjects(Path(site.pictures), secret=SECRET, base_url="http://here/files")
        self.progress = RedisProgress(self.redis)
        self.broker = redis_broker(self.redis)
        self.wakes = Wakes(self.broker)

    def around(self) -> Surroundings:
        return Surroundings(pool=self.pool, ledger=self.ledger, clock=self.clock, wake=self.wakes, sleep=time.sleep)

    def close(self) -> None:
        self.ledger.close()
        self.pool.close()
        self.redis.close()


def _quickened(catalogue: Catalogue, times: dict[str, Any] | None) -> Catalogue:
    """The shipped tools with other time limits."""
    if not times:
        return catalogue
    tools = {
        place: (replace(tool, times=replace(tool.times, **times)), graph)
        for place, (tool, graph) in catalogue._tools.items()
    }
    return Catalogue(tools, (catalogue.canary, catalogue.canary_graph))


class Shop:
    """The API's side: orders, looks and cancels, with the jobs follower on a thread of its own."""

    def __init__(self, site: Site) -> None:
        self.parts = Parts(site)
        self.service = JobsService(
            JobsParts(
                around=self.parts.around(),
                catalogue=self.parts.catalogue,
                objects=self.parts.objects,
                progress=self.parts.progress,
                ids=self.parts.ids,
            )
        )
        self.driver = Driver(self.parts.pool, wake=self.parts.wakes)
        self.follower = FollowerThread(self.driver, [JobsFollower()])
        self.organisation_id = uuid4()
        self.account_id = uuid4()
        account = commands.OpenAccount(account_id=self.account_id, organisation_id=self.organisation_id)
        self.parts.ledger.submit(request(account))
        grant(self.parts.ledger, self.account_id, 100 * CREDIT)

    def start(self) -> None:
        self.follower.start()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.follower.stop()
        self.parts.close()

    def order(self, key: str | None = None, **params: Any) -> UUID:
        asked = {"prompt": "a lighthouse", "width": 256, "height": 256, "quality": "draft", "seed": 7} | params
        ordered = self.service.generate(self.organisation_id, self.account_id, key or str(uuid4()), JobParams(**asked))
        self.follower.wake()
        return ordered.job.job_id

    def get(self, job_id: UUID) -> JobView:
        return self.service.get(self.organisation_id, job_id)

    def until(self, job_id: UUID, *states: str, limit_s: float = END_LIMIT_S) -> JobView:
        wanted = states or tuple(ENDED)
        view = self.get(job_id)
        ends = time.monotonic() + limit_s
        while view.state not in wanted:
            assert time.monotonic() < ends, f"{view.state} instead of {wanted}: {self.attempts(job_id)}"
            time.sleep(0.05)
            view = self.get(job_id)
        return view

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        with self.parts.pool.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(sql.encode(), params).fetchall()

    def attempts(self, job_id: UUID) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM attempts WHERE job_id = %(job_id)s ORDER BY n", job_id=job_id)

    def wait_for(self, what: Callable[[], Any], limit_s: float = 20.0) -> Any:
        ends = time.monotonic() + limit_s
        while not (found := what()):
            assert time.monotonic() < ends, "it did not happen in time"
            time.sleep(0.05)
        return found

    def ready_nodes(self, number: int) -> None:
        self.wait_for(lambda: len(self.rows("SELECT name FROM nodes WHERE state = 'ready'")) >= number)

    # --- what must hold

    def check(self, job_id: UUID) -> JobView:
        """Invariants 47 to 50 of one job that has ended: held nothing; given and charged once, or neither."""
        self.settle()
        view = self.get(job_id)
        assert view.ended, view
        recorded = self.parts.ledger.stream(job_id)
        job = fold(recorded)
        assert job is not None and job.end is not None
        hold = self.parts.ledger.hold(job.hold_id) if job.hold_id else None
        objects = [path for path in Path(self.parts.site.pictures).rglob("*.png") if str(job_id) in str(path)]
        if isinstance(job.end, JobSucceeded):
            assert hold is None or (hold.state, hold.committed_ucr) == ("committed", view.price_ucr)
            assert view.charged_ucr == view.price_ucr
            self._check_pictures(view, objects)
        else:
            assert view.charged_ucr == 0
            assert hold is None or hold.state in {"released", "expired"}
            assert not objects, "a picture nobody paid for lies about"
        self.wait_for(lambda: not self.rows("SELECT 1 FROM job_queue WHERE job_id = %(job_id)s", job_id=job_id))
        return view

    def _check_pictures(self, view: JobView, objects: list[Path]) -> None:
        assert len(view.outputs) == view.images == len(objects)
        for output in view.outputs:
            with Image.open(io.BytesIO(self.fetch(output.url))) as picture:
                assert picture.size == (view.width, view.height)

    def fetch(self, url: str) -> bytes:
        from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415  used here alone

        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = self.parts.objects.open_link(
            parts.path.removeprefix("/files/"),
            until=int(query["until"]),
            file_name=query["name"],
            signature=query["signature"],
            now=self.parts.clock.now(),
        )
        return found.content

    def settle(self) -> None:
        """Until no attempt is open and the follower has read all there is."""
        self.wait_for(lambda: not self.rows("SELECT 1 FROM attempts WHERE state <> 'ended'"), limit_s=END_LIMIT_S)
        catch_up(self.driver, [JobsFollower()])

    def check_all(self, job_ids: Sequence[UUID]) -> None:
        """The same of every job, and of the account: held is zero, and what was spent is what was charged."""
        views = [self.check(job_id) for job_id in job_ids]
        balance = self.parts.ledger.balance(self.account_id)
        assert balance is not None
        assert (balance.held_ucr, balance.open_holds) == (0, 0)
        assert balance.posted_ucr == 100 * CREDIT - sum(view.charged_ucr for view in views)


class WorkerUnderTest:
    """A worker process of ours, to be killed."""

    def __init__(self, site: Site) -> None:
        code = "import sys; from tests.support.jobs import work; work(sys.argv[1])"
        spec = json.dumps(site.__dict__)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, spec], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_LIMIT_S)
        if not ready or self.process.stdout.readline().strip() != "ready":
            self.kill()
            raise RuntimeError("the worker did not start")

    def kill(self) -> None:
        """As the machine would: no goodbye."""
        self.process.kill()
        self._reap()

    def stop(self, limit_s: float = 30.0) -> int:
        """SIGTERM, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit_s)
        finally:
            self.process.kill()
            self._reap()

    def _reap(self) -> None:
        self.process.wait(10)
        for stream in (self.process.stdout, self.process.stdin):
            if stream is not None:
                stream.close()


def work(spec: str) -> None:
    """Be a worker process until SIGTERM, or until whoever started us is gone."""
    site = Site(**json.loads(spec))
    site.nodes = tuple(site.nodes)
    parts = Parts(site)
    if deadly := os.environ.get("TALLYSTICK_TEST_DIE_AT"):
        _die_at(deadly)
    process = worker(parts)
    follower = FollowerThread(Driver(parts.pool, wake=parts.wakes), [JobsFollower()])
    follower.start()
    process.start()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not stopped:
        ready, _, _ = select.select([sys.stdin], [], [], 0.2)
        if ready and not sys.stdin.read(1):
            os._exit(1)
    process.stop()
    follower.stop()
    parts.close()


def _die_at(statement: str) -> None:
    """Kill this process as soon as a transaction with the named statement is committed."""
    commit = Rows.commit
    run = Rows.run
    seen: set[int] = set()

    def remember(self: Rows, asked: Statement, params: Any) -> Any:
        rows = run(self, asked, params)
        if asked.name == statement and (rows or statement == "output-save"):
            seen.add(id(self))
        return rows

    def die(self: Rows) -> None:
        commit(self)
        if id(self) in seen:
            os.kill(os.getpid(), signal.SIGKILL)

    Rows.run, Rows.commit = remember, die  # type: ignore[method-assign]


def worker(parts: Parts) -> WorkerProcess:
    """A worker on these parts."""
    nodes = {
        config.name: (config, ComfyNode(config.url, clock=parts.clock, name=config.name))
        for config in configured(tuple(parts.site.nodes))
    }
    workshop = Workshop(
        around=parts.around(),
        catalogue=parts.catalogue,
        nodes=nodes,
        objects=parts.objects,
        progress=parts.progress,
        heart=Heart(parts.pool, parts.clock),
    )
    found = WorkerProcess(
        WorkerParts(workshop=workshop, broker=parts.broker, ids=parts.ids, threads=parts.site.threads, drain_s=20.0)
    )
    parts.wakes.fallback = found.take_without_redis
    return found


@contextlib.contextmanager
def standins(folder: Path, number: int, *options: str) -> Generator[list[StandIn]]:
    """Some stand-in nodes, stopped afterwards."""
    nodes: list[StandIn] = []
    try:
        for n in range(number):
            data = folder / f"node-{n}"
            data.mkdir()
            nodes.append(StandIn(data, *options))
        yield nodes
    finally:
        for node in nodes:
            if node.process.poll() is None:
                node.stop(signal.SIGKILL)


def postgres_connections(url: str) -> int:
    """How many connections a database has, ours left out."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert row is not None
        return row[0]
