"""``tallystick bench ledger``: the writer beside the event library's recorder and bare inserts, in one run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from statistics import median
from uuid import UUID, uuid4

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ledger.domain.codec import encode_event
from ledger.domain.events import CreditsHeld, Slice
from ledger.domain.verdicts import Done
from ledger.ports import LedgerWriter, Request
from tallystick.bench import disk
from tallystick.bench.baselines import AppendRecorder, bare_rows_per_s, durable_insert_ms, recorder_events_per_s
from tallystick.bench.following import following, lag_s, rebuild_events_per_s
from tallystick.bench.load import Load, Measured, Measurement, client, hold_and_commit, open_accounts
from tallystick.bench.processes import writer_process
from tallystick.bench.schema import scratch

HOT_CALLERS = 256
PROCESSES = 4
_BASELINE_SHARE = 0.5
_BARE_ROWS_PER_S = 12_000
_MICROSECONDS = 1e6


class Plan(Struct, frozen=True, kw_only=True):
    """What is measured: the load, and how large the parts are that time does not bound.

    ``disk_events`` is the least number of events over which bytes are counted: enough that empty accounts do not show.
    """

    load: Load
    open_holds: int = 10_000
    disk_events: int = 500_000
    lone_commands: int = 400
    memory_accounts: int = 0


QUICK = Plan(load=Load(callers=20, accounts=50, seconds=0.3), open_holds=200, disk_events=0, lone_commands=10)
"""Every part, as short as may be: for tests, not for figures."""


class LedgerFigures(Struct, frozen=True, kw_only=True):
    """Figures of one run. What ends in ``_ratio`` is divided by the figure it must keep up with.

    ``busy``: by the idle callers'; ``hot`` and ``four_process``: by random accounts; ``hot_open_holds``: by the hot
    account without them; ``raw``: by bare inserts of the same rows; ``lone``: by one bare durable INSERT.
    """

    commands_per_s: float
    vs_eventsourcing: float
    with_follower_per_s: float
    lag_s: float
    busy_ratio: float
    jobs_per_s: float
    p50_ms: float
    p99_ms: float
    hot_ratio: float
    hot_open_holds_ratio: float
    four_process_ratio: float
    errors: int
    lone_p50_ms: float
    lone_ratio: float
    raw_ratio: float
    follower_events_per_s: float
    bytes_per_event: int
    memory_mib: float | UnsetType = UNSET
    eventsourcing_per_s: float
    raw_rows_per_s: float
    batch_size: int
    callers_us: float
    writer_us: float
    postgres_us: float


Progress = Callable[[str], None]


class Bench:
    """Runs all parts, each in a schema and with a writer of its own."""

    def __init__(self, owner_url: str, plan: Plan, tell: Progress) -> None:
        self._owner_url = owner_url
        self._plan = plan
        self._load = plan.load
        self._tell = tell
        self._errors = 0

    def figures(self) -> LedgerFigures:
        """Measure everything."""
        main, bytes_per_event, follower_per_s = self._main()
        recorder_per_s, bare_per_s = self._recorder(), self._bare(main.batch_size)
        busy = self._part("busy callers", replace(self._load, busy=True))
        followed, lag = self._followed()
        jobs, hot, held, four = self._hot()
        lone_ms, lone_ratio = self._lone()
        return LedgerFigures(
            commands_per_s=round(main.commands_per_s, 1),
            vs_eventsourcing=round(main.commands_per_s / recorder_per_s, 2),
            with_follower_per_s=round(followed.commands_per_s, 1),
            lag_s=round(lag, 3),
            busy_ratio=round(busy.commands_per_s / main.commands_per_s, 3),
            jobs_per_s=round(jobs.commands_per_s / 2, 1),
            p50_ms=round(jobs.job_ms_at(0.5), 2),
            p99_ms=round(jobs.job_ms_at(0.99), 2),
            hot_ratio=round(hot.commands_per_s / jobs.commands_per_s, 3),
            hot_open_holds_ratio=round(held.commands_per_s / hot.commands_per_s, 3),
            four_process_ratio=round(four.commands_per_s / jobs.commands_per_s, 3),
            errors=self._errors,
            lone_p50_ms=round(lone_ms, 2),
            lone_ratio=round(lone_ratio, 2),
            raw_ratio=round(main.commands_per_s / bare_per_s, 3),
            follower_events_per_s=round(follower_per_s, 1),
            bytes_per_event=bytes_per_event,
            memory_mib=self._memory() if self._plan.memory_accounts else UNSET,
            eventsourcing_per_s=round(recorder_per_s, 1),
            raw_rows_per_s=round(bare_per_s, 1),
            batch_size=main.batch_size,
            callers_us=_us(main.callers_cpu_s, main),
            writer_us=_us(main.writer_cpu_s, main),
            postgres_us=_us(main.postgres_cpu_s, main),
        )

    def _main(self) -> tuple[Measured, int, float]:
        """The writer alone; then goes on until the disk says something; then the follower folds all of it."""
        with self._measurement("writer", self._load) as found:
            main = self._count(found.run(self._load))
            self._tell("bytes on disk")
            events = main.commands
            disk.vacuum_as_due(found.url)
            while events < self._plan.disk_events:
                events += self._count(found.run(self._load)).commands
                disk.vacuum_as_due(found.url)
            size = disk.bytes_per_event(found.url)
            self._tell("statement follower, from the first event")
            return main, size, rebuild_events_per_s(found.url)

    def _followed(self) -> tuple[Measured, float]:
        with self._measurement("writer with statement follower", self._load) as found, following(found.url):
            with found.running(self._load) as futures:
                worst_s = lag_s(found.url, futures)
                parts = [future.result() for future in futures]
            return self._count(found.measured(parts)), worst_s

    def _hot(self) -> tuple[Measured, Measured, Measured, Measured]:
        """Random accounts, one account, one with open holds, one from processes with a writer each."""
        load = replace(self._load, callers=min(self._load.callers, HOT_CALLERS))
        one = replace(load, accounts=1)
        return (
            self._part("jobs", load),
            self._part("one hot account", one),
            self._part("one hot account with open holds", replace(one, open_holds=self._plan.open_holds)),
            self._part("one hot account, four writers", replace(one, processes=PROCESSES, own_writers=True)),
        )

    def _lone(self) -> tuple[float, float]:
        with self._measurement("lone caller", replace(self._load, accounts=1)) as found:
            with client(found.writer.path, found.url) as writer:
                jobs = (hold_and_commit(found.account_ids[0], uuid4()) for _ in range(self._plan.lone_commands // 2))
                lone_ms = median([_timed(writer, one) for job in jobs for one in job])
            return lone_ms, lone_ms / durable_insert_ms(found.url, self._plan.lone_commands)

    def _recorder(self) -> float:
        self._tell("the event library's recorder")
        with scratch(self._owner_url, migrated=False) as url:
            return recorder_events_per_s(url, max(0.5, self._load.seconds * _BASELINE_SHARE), _sample())

    def _bare(self, batch_size: int) -> float:
        self._tell("bare inserts")
        batches = max(2, int(self._load.seconds * _BARE_ROWS_PER_S / batch_size))
        with scratch(self._owner_url, migrated=True) as url:
            recorder = AppendRecorder(url, self._load.accounts)
            recorder.record(batch_size, batches)
        with scratch(self._owner_url, migrated=True) as url:
            return bare_rows_per_s(url, recorder)

    def _memory(self) -> float:
        """The most memory of a writer while every account was touched twice."""
        self._tell("memory")
        with scratch(self._owner_url, migrated=True) as url, writer_process(url) as writer:
            with client(writer.path, url) as door:
                open_accounts(door, [uuid4() for _ in range(self._plan.memory_accounts)])
            return round(writer.report().memory_mib, 1)

    @contextlib.contextmanager
    def _measurement(self, name: str, load: Load) -> Generator[Measurement]:
        self._tell(name)
        with scratch(self._owner_url, migrated=True) as url, writer_process(url) as writer:
            found = Measurement(url, writer)
            found.fill(load)
            yield found

    def _part(self, name: str, load: Load) -> Measured:
        with self._measurement(name, load) as found:
            return self._count(found.run(load))

    def _count(self, measured: Measured) -> Measured:
        self._errors += measured.errors
        return measured


def _timed(writer: LedgerWriter, request: Request) -> float:
    start = time.perf_counter()
    answer = writer.submit(request)
    assert isinstance(answer.verdict, Done), answer
    return (time.perf_counter() - start) * 1_000


def _us(cpu_s: float, measured: Measured) -> float:
    return round(cpu_s / measured.commands * _MICROSECONDS, 1)


def _sample() -> bytes:
    """An event as the load writes it."""
    ids, now = [UUID(int=number) for number in range(2)], datetime(2026, 1, 1, tzinfo=UTC)
    held = CreditsHeld(hold_id=ids[0], amount_ucr=1, slices=(Slice(ids[1], 1),), lease_until=now, reference=ids[0])
    return encode_event(held).state
