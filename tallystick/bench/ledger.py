"""``tallystick bench ledger``: the writer beside the event library's recorder and bare inserts, in one run."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from msgspec import Struct
from msgspec.structs import replace

from tallystick.bench.baselines import bare_rows_per_s, recorder_events_per_s
from tallystick.bench.load import Load, Measured, run_load
from tallystick.bench.schema import scratch

JOB_CALLERS = 256
_BASELINE_SHARE = 0.5


class LedgerFigures(Struct, frozen=True, kw_only=True):
    """Figures of one run. Ratios: hot account to random accounts, writer to recorder, writer to bare inserts."""

    commands_per_s: float
    jobs_per_s: float
    p50_ms: float
    p99_ms: float
    hot_ratio: float
    vs_eventsourcing: float
    raw_ratio: float
    eventsourcing_per_s: float
    raw_rows_per_s: float
    batch_size: int
    bytes_per_event: int


Progress = Callable[[str], None]


def measure(owner_url: str, load: Load, tell: Progress) -> LedgerFigures:
    """Run all parts, each in a schema of its own; ``load.seconds`` is the length of one part."""
    tell("writer")
    with scratch(owner_url, migrated=True) as url:
        main = run_load(url, load)
        bytes_per_event = _bytes_per_event(url)
    random_callers = replace(load, callers=min(load.callers, JOB_CALLERS))
    tell("jobs")
    jobs = _part(owner_url, random_callers)
    tell("one hot account")
    hot = _part(owner_url, replace(random_callers, accounts=1))
    seconds = max(1.0, load.seconds * _BASELINE_SHARE)
    tell("the event library's recorder")
    with scratch(owner_url, migrated=False) as url:
        recorder = recorder_events_per_s(url, seconds)
    tell("bare inserts")
    with scratch(owner_url, migrated=True) as url:
        bare = bare_rows_per_s(url, main.batch_size, load.accounts, seconds)
    return LedgerFigures(
        commands_per_s=round(main.commands_per_s, 1),
        jobs_per_s=round(jobs.commands_per_s / 2, 1),
        p50_ms=round(jobs.job_ms_at(0.5), 2),
        p99_ms=round(jobs.job_ms_at(0.99), 2),
        hot_ratio=round(hot.commands_per_s / jobs.commands_per_s, 3),
        vs_eventsourcing=round(main.commands_per_s / recorder, 2),
        raw_ratio=round(main.commands_per_s / bare, 3),
        eventsourcing_per_s=round(recorder, 1),
        raw_rows_per_s=round(bare, 1),
        batch_size=main.batch_size,
        bytes_per_event=bytes_per_event,
    )


def _part(owner_url: str, load: Load) -> Measured:
    with scratch(owner_url, migrated=True) as url:
        return run_load(url, load)


def _bytes_per_event(url: str) -> int:
    query = """
        SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c
                WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace)::bigint
               / greatest(1, (SELECT position FROM log_head))
    """
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
