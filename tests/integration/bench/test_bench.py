"""``tallystick bench ledger`` measures every target; what it measures depends on the machine, and is not tested."""

from __future__ import annotations

import msgspec
import pytest

from tallystick.bench.ledger import QUICK, Bench
from tests.support.servers import Database

POSITIVE = (
    "commands_per_s",
    "vs_eventsourcing",
    "with_follower_per_s",
    "busy_ratio",
    "jobs_per_s",
    "p50_ms",
    "p99_ms",
    "hot_ratio",
    "hot_open_holds_ratio",
    "four_process_ratio",
    "lone_p50_ms",
    "lone_ratio",
    "raw_ratio",
    "follower_events_per_s",
    "bytes_per_event",
    "memory_mib",
    "eventsourcing_per_s",
    "raw_rows_per_s",
    "batch_size",
    "callers_us",
    "writer_us",
)


@pytest.mark.timeout(180)
def test_every_target_is_measured_in_one_run(database: Database) -> None:
    plan = msgspec.structs.replace(QUICK, memory_accounts=100)
    figures = msgspec.to_builtins(Bench(database.owner_url, plan, print).figures())
    assert {name for name in POSITIVE if figures[name] <= 0} == set()
    assert figures["errors"] == 0
    assert figures["lag_s"] >= 0
    assert figures["p50_ms"] <= figures["p99_ms"]


def test_memory_is_left_out_unless_asked_for() -> None:
    assert QUICK.memory_accounts == 0
