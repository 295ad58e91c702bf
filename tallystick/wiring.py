"""Builds the program out of its parts for given settings. Only here are adapters named."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dramatiq
import psycopg
import redis
from psycopg_pool import ConnectionPool

from api.crossing import Crossing
from api.cursors import Cursors
from api.live.feed import RedisFeed
from api.live.hub import Hub
from api.ratelimit import RedisLimiter
from api.services import Services
from customers.keys import KeysService
from customers.organisations import OrganisationsService
from customers.postgres import PostgresStore
from ledger.drivers import Driver, FollowerThread
from ledger.serving import ServingLedger
from ledger.store.owners import PostgresOwners
from ledger.store.socket import SocketLedger
from ledger.sweep import sweep
from payments.domain.policy import Terms, fixed_value
from payments.domain.products import PriceBook, PriceList
from payments.drivers import PaymentDriver
from payments.effects import INBOX_TOPIC
from payments.rail import Rail
from payments.sandbox.courier import DirectCourier
from payments.sandbox.desk import SandboxDesk
from payments.sandbox.guard import refuse_beside_live_keys
from payments.sandbox.rail import SandboxRail
from payments.sandbox.store import PostgresStore as SandboxStore
from payments.service import TopUpsService
from payments.worker import Settler, SettlerThread
from projections.statement import StatementReader
from tallystick.chores import Chore, Chores
from tallystick.clock import SystemClock, SystemIds
from tallystick.heads import head_chores
from tallystick.listening import LogListener
from tallystick.read_models import followers
from tallystick.settings import Settings
from tallystick.telemetry.core import OFF, Telemetry
from tallystick.telemetry.followers import traced_followers
from tallystick.telemetry.ledger import traced_ledger
from tallystick.telemetry.messages import message_middleware
from tallystick.writer_probe import unavailable
from tallystick.writing import open_ledger
from workers.actors import Wakes, redis_broker
from workers.catalogue import Catalogue, shipped
from workers.driving import Surroundings
from workers.objects.local import LocalObjects
from workers.objects.port import ObjectStore
from workers.objects.s3 import S3Objects, S3Place
from workers.progress import RedisProgress
from workers.service import JobsParts, JobsService

_POOL_TIMEOUT_S = 5.0
_CONNECTION_LIMITS = {
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
"""After which the server ends a session whose process stands still in a transaction, or whose machine is gone.

What it has locked is passed over by everybody else, as if somebody were at work on it. Nobody computes for so long in a
transaction but followers, who say how long they may.
"""
_REDIS_TIMEOUT_S = 2.0
_READY_TIMEOUT_S = 1.0
_SWEEP_S = 1.0
_FINISH_S = 30.0
_PRICES_FROM = datetime(2026, 1, 1, tzinfo=UTC)


class Hints:
    """Passes hints of cores on: to the job queue's messages, and within this process to who listens for a topic."""

    def __init__(self, wakes: Wakes) -> None:
        self.wakes = wakes
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def __call__(self, topic: str, payload: str) -> None:
        """See ``ledger.drivers.WakeUp``."""
        self.wakes(topic, payload)
        for listener in self._listeners.get(topic, ()):
            listener()

    def listen(self, topic: str, listener: Callable[[], None]) -> None:
        """Call ``listener`` on every hint of a topic; it must not raise."""
        self._listeners.setdefault(topic, []).append(listener)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The program's parts on one database, one Redis and one object store. Safe from many threads; ``close`` it.

    ``desk`` is where sandbox payments are made, None where the sandbox is off.
    ``remote``: the writer is another process.
    """

    settings: Settings
    public_url: str
    clock: SystemClock
    ids: SystemIds
    pool: ConnectionPool[Any]
    redis: redis.Redis
    ledger: ServingLedger
    broker: dramatiq.Broker
    hints: Hints
    keys: KeysService
    organisations: OrganisationsService
    prices: PriceList
    topups: TopUpsService
    settler: Settler
    desk: SandboxDesk | None
    catalogue: Catalogue
    objects: ObjectStore
    progress: RedisProgress
    around: Surroundings
    jobs: JobsService
    statements: StatementReader
    telemetry: Telemetry = OFF
    remote: bool = False
    closers: list[Callable[[], Any]] = field(default_factory=list[Callable[[], Any]])

    def driver(self) -> Driver:
        """A driver of cores on this pool."""
        return Driver(self.pool, ledger=self.ledger, wake=self.hints, sleep=time.sleep)

    def unready(self) -> list[str]:
        """Names of parts that do not answer and without which nothing can be served."""
        try:
            with self.pool.connection(timeout=_READY_TIMEOUT_S) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return ["database"]
        return ["writer"] if self.remote and unavailable(self.settings) else []

    def close(self) -> None:
        """Stop the writer and give up every connection."""
        for close in self.closers:
            close()


def build(settings: Settings, telemetry: Telemetry = OFF, *, remote: bool = False) -> Runtime:
    """Build everything; the addresses in ``settings`` are known and the schema is there.

    :param remote: whether only the writer's process may append; otherwise this one does where that does not run.
    :raises NotReady: no writer answers, and this process may not append either.
    :raises payments.errors.SandboxBesideLiveKeys: money for nothing would stand beside real money.
    """
    refuse_beside_live_keys(settings)
    assert settings.database_url is not None and settings.redis_url is not None, "servers are started first"
    clock, ids, url = SystemClock(), SystemIds(), address(settings)
    pool = open_pool(settings.database_url, settings.database_pool_max)
    client = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its keyword arguments are untyped
        settings.redis_url, socket_timeout=_REDIS_TIMEOUT_S, socket_connect_timeout=_REDIS_TIMEOUT_S
    )
    writer = open_ledger(settings, pool, clock, telemetry, remote=remote)
    telemetry.gauge(
        "tallystick.ledger.queue", "{request}", "requests that wait for the writer", lambda: [(writer.queued, {})]
    )
    ledger = traced_ledger(writer, telemetry)
    broker = redis_broker(client, message_middleware(telemetry))
    hints = Hints(Wakes(broker))
    around = Surroundings(pool=pool, ledger=ledger, clock=clock, wake=hints, sleep=time.sleep)
    catalogue, progress = shipped(), RedisProgress(client)
    objects = make_objects(settings, clock, url)
    prices = PriceList([PriceBook(version="2026-01", valid_from=_PRICES_FROM, currency=settings.book_currency)])
    payments = make_payments(settings, around, prices, ids, url)
    store = PostgresStore(pool)
    return Runtime(
        settings=settings,
        public_url=url,
        clock=clock,
        ids=ids,
        pool=pool,
        redis=client,
        ledger=ledger,
        broker=broker,
        hints=hints,
        keys=KeysService(
            store,
            pepper=settings.key_for("api-keys"),
            mode="live" if settings.live else "test",
            clock=clock,
            ids=ids,
            entropy=os.urandom,
        ),
        organisations=OrganisationsService(store, ledger, ids=ids),
        prices=prices,
        topups=payments.topups,
        settler=payments.settler,
        desk=payments.desk,
        catalogue=catalogue,
        objects=objects,
        progress=progress,
        around=around,
        jobs=JobsService(JobsParts(around=around, catalogue=catalogue, objects=objects, progress=progress, ids=ids)),
        statements=StatementReader(pool),
        telemetry=telemetry,
        remote=isinstance(writer, SocketLedger),
        closers=[writer.close, pool.close, client.close],
    )


def address(settings: Settings) -> str:
    """Where customers reach us: as configured, or this machine."""
    if settings.public_url is not None:
        return settings.public_url
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def open_pool(database_url: str, most: int) -> ConnectionPool[Any]:
    """Connections of the serving role; a broken one is noticed before it is handed out, and one left alone is ended."""
    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=most,
        timeout=_POOL_TIMEOUT_S,
        configure=_limit,
        check=ConnectionPool.check_connection,
        open=True,
    )


def _limit(connection: psycopg.Connection[Any]) -> None:
    """Set the limits of a new connection; by a statement, since not every pooler lets them pass at its start."""
    connection.autocommit = True
    limits = [list(_CONNECTION_LIMITS), list(_CONNECTION_LIMITS.values())]
    connection.execute(
        "SELECT set_config(name, value, FALSE) FROM unnest(%s::text[], %s::text[]) AS t (name, value)", limits
    )
    connection.autocommit = False


def make_objects(settings: Settings, clock: SystemClock, url: str) -> ObjectStore:
    """Where pictures lie: a bucket if one is configured, else a folder in the data folder."""
    if settings.s3_bucket is not None:
        place = S3Place(
            bucket=settings.s3_bucket,
            region=settings.s3_region,
            endpoint_url=settings.s3_endpoint_url,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key,
        )
        return S3Objects(place, clock)
    folder = settings.data_dir / "images"
    return LocalObjects(folder, secret=settings.key_for("links"), base_url=f"{url}/outputs")


@dataclass(frozen=True, kw_only=True)
class Payments:
    """Money in."""

    topups: TopUpsService
    settler: Settler
    desk: SandboxDesk | None


def make_payments(settings: Settings, around: Surroundings, prices: PriceList, ids: SystemIds, url: str) -> Payments:
    """Rails that are configured, and what works with them."""
    rails: dict[str, Rail] = {}
    secret = settings.key_for("sandbox")
    books = SandboxStore(around.pool)
    if settings.sandbox:
        sandbox = SandboxRail(books, around.clock, secret=secret, public_url=url)
        rails[sandbox.name] = sandbox
    inner = Driver(around.pool, ledger=around.ledger, wake=around.wake, sleep=around.sleep)
    driver = PaymentDriver(inner, around.ledger, rails)
    topups = TopUpsService(driver, prices, around.clock, ids)
    courier = DirectCourier(topups.receive)
    desk = SandboxDesk(books, around.clock, ids, secret=secret, courier=courier) if settings.sandbox else None
    terms = Terms(prices=prices, value=fixed_value(prices.currency))
    return Payments(topups=topups, settler=Settler(driver, terms), desk=desk)


def make_services(runtime: Runtime) -> Services:
    """What the web application needs; it is used from one event loop, and closed with it."""
    settings, crossing = runtime.settings, Crossing()
    assert settings.redis_url is not None
    return Services(
        public_url=runtime.public_url,
        clock=runtime.clock,
        ids=runtime.ids,
        ledger=runtime.ledger,
        owners=PostgresOwners(runtime.pool),
        keys=runtime.keys,
        jobs=runtime.jobs,
        topups=runtime.topups,
        statements=runtime.statements,
        links=runtime.objects if isinstance(runtime.objects, LocalObjects) else None,
        hub=Hub(runtime.ledger, crossing, RedisFeed(settings.redis_url)),
        limiter=RedisLimiter(settings.redis_url, runtime.clock),
        cursors=Cursors(settings.key_for("cursors")),
        crossing=crossing,
        unready=runtime.unready,
    )


class Background:
    """What goes on behind the web application and may go on in any process: followers, settlement, sweeps, wake-ups."""

    def __init__(self, runtime: Runtime, *, also_wake: Callable[[], None] = lambda: None) -> None:
        assert runtime.settings.database_url is not None
        seen = traced_followers(followers(runtime.settings), runtime.telemetry)
        self._followers = FollowerThread(runtime.driver(), seen)
        self._settler = SettlerThread(runtime.settler, runtime.clock)
        runtime.hints.listen(INBOX_TOPIC, self._settler.wake)
        driver = runtime.driver()
        chores = (
            Chore("what only time does", _SWEEP_S, lambda: driver.drive(sweep())),
            Chore("sign-ups cut short", _FINISH_S, runtime.organisations.finish_all),
        )
        self._chores = Chores(chores, runtime.clock)
        self._heads = head_chores(runtime.settings, driver, runtime.clock, runtime.telemetry)
        self._listener = LogListener(runtime.settings.database_url, (self._followers.wake, also_wake))

    def start(self) -> None:
        """Begin all of it."""
        self._followers.start()
        self._settler.start()
        self._chores.start()
        self._heads.start()
        self._listener.start()

    def stop(self) -> None:
        """End all of it, each with the batch in hand."""
        self._listener.stop()
        self._heads.stop()
        self._chores.stop()
        self._settler.stop()
        self._followers.stop()
