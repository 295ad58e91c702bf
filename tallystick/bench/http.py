"""The ledger over HTTP: server, writer, database and client on one machine, on each server in the same run."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import uvloop
from msgspec import Struct

from tallystick.bench.http_client import Connection, connect, post
from tallystick.bench.http_site import Site, private, serving, writing
from tallystick.bench.processes import CONTEXT, postgres_cpu_s, process_cpu_s
from tallystick.bench.schema import schema_of, scratch
from tallystick.settings import Settings

SERVER = "uvicorn"
"""What ``tallystick serve`` runs on; see decision 31."""

BATCH = 1_000
_HOLD = b'{"amount":"0.01","lease_s":3600}'
_COMMIT = b'{"amount":"0.01"}'
_CREATED, _OK = 201, 200
Progress = Callable[[str], None]


class Load(Struct, frozen=True, kw_only=True):
    """Connections with one request in flight on each, for ``seconds`` a part."""

    seconds: float = 5.0
    connections: int = 64
    batch_connections: int = 4


class Part(Struct, kw_only=True):
    """What one part came to; an error is any answer that is not the wanted one.

    ``cpu_us`` is processor time of each process for one operation: steady where other work takes time away.
    """

    done: int
    seconds: float
    ms: list[float]
    errors: int
    client_cpu_s: float = 0
    cpu_us: dict[str, float] = {}

    @property
    def per_s(self) -> float:
        """Operations a second."""
        return round(self.done / self.seconds, 1)

    def ms_at(self, share: float) -> float:
        """A quantile of the time that one answer took."""
        ordered = sorted(self.ms) or [0.0]
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


class HttpFigures(Struct, frozen=True, kw_only=True):
    """Figures of one run: those of the server that we use, then those of the other, which may not be installed."""

    singles_per_s: float
    singles_p50_ms: float
    singles_p99_ms: float
    batch_commands_per_s: float
    batch_p50_ms: float
    errors: int
    server: str
    single_cpu_us: dict[str, float]
    batched_cpu_us: dict[str, float]
    other_server: str | None = None
    other_singles_per_s: float | None = None
    other_singles_p50_ms: float | None = None
    other_singles_p99_ms: float | None = None
    other_batch_commands_per_s: float | None = None
    other_single_cpu_us: dict[str, float] | None = None


def measure(settings: Settings, load: Load, tell: Progress) -> HttpFigures:
    """Run all parts on every server that is installed, each in a schema of its own."""
    singles, batches = _measure_on(settings, SERVER, load, tell)
    figures = HttpFigures(
        singles_per_s=singles.per_s,
        singles_p50_ms=singles.ms_at(0.5),
        singles_p99_ms=singles.ms_at(0.99),
        batch_commands_per_s=batches.per_s,
        batch_p50_ms=batches.ms_at(0.5),
        errors=singles.errors + batches.errors,
        server=SERVER,
        single_cpu_us=singles.cpu_us,
        batched_cpu_us=batches.cpu_us,
    )
    if importlib.util.find_spec("granian") is None:
        return figures
    other_singles, other_batches = _measure_on(settings, "granian", load, tell)
    return msgspec.structs.replace(
        figures,
        errors=figures.errors + other_singles.errors + other_batches.errors,
        other_server="granian",
        other_singles_per_s=other_singles.per_s,
        other_singles_p50_ms=other_singles.ms_at(0.5),
        other_singles_p99_ms=other_singles.ms_at(0.99),
        other_batch_commands_per_s=other_batches.per_s,
        other_single_cpu_us=other_singles.cpu_us,
    )


def _measure_on(settings: Settings, server: str, load: Load, tell: Progress) -> tuple[Part, Part]:
    owner_url = settings.database_owner_url
    assert owner_url is not None
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as folder, scratch(owner_url, migrated=True) as url:
        at = private(settings, schema_of(url), Path(folder))
        with writing(at) as writer, serving(at, server) as site, ProcessPoolExecutor(1, mp_context=CONTEXT) as client:

            def cpu_s() -> dict[str, float]:
                pids = {"server": site.pid, "writer": writer}
                return {name: process_cpu_s(pid) for name, pid in pids.items()} | {"postgres": postgres_cpu_s(url)}

            def run(name: str, part: Callable[[Site, Load], Part]) -> Part:
                tell(f"{server}: {name}")
                before = cpu_s()
                found = client.submit(part, site, load).result()
                spent_s = {name: after - before[name] for name, after in cpu_s().items()} | {
                    "client": found.client_cpu_s
                }
                found.cpu_us = {name: round(one * 1e6 / max(1, found.done), 1) for name, one in spent_s.items()}
                return found

            return run("one by one", run_singles), run("batches", run_batches)


def run_singles(site: Site, load: Load) -> Part:
    """Hold, then commit, one request each."""
    return uvloop.run(_run(site, load, load.connections, _hold_and_commit))


def run_batches(site: Site, load: Load) -> Part:
    """A thousand holds in a request, then their thousand commits."""
    return uvloop.run(_run(site, load, load.batch_connections, _many_holds_and_commits))


Asking = Callable[[Connection, dict[str, str], Part], Any]


async def _run(site: Site, load: Load, connections: int, asking: Asking) -> Part:
    part = Part(done=0, seconds=0, ms=[], errors=0)
    start, cpu_start_s = time.perf_counter(), time.process_time()
    end = start + load.seconds

    async def caller(number: int) -> None:
        connection = await connect(site.host, site.port)
        headers = {"Authorization": f"Bearer {site.keys[number % len(site.keys)]}"}
        while time.perf_counter() < end:
            await asking(connection, headers, part)
        connection.close()

    await asyncio.gather(*map(caller, range(connections)))
    part.seconds, part.client_cpu_s = time.perf_counter() - start, time.process_time() - cpu_start_s
    return part


async def _hold_and_commit(connection: Connection, headers: dict[str, str], part: Part) -> None:
    held = await _ask(connection, part, "holds", _HOLD, headers, _CREATED)
    if held is not None:
        hold_id = msgspec.json.decode(held)["subject_id"]
        await _ask(connection, part, f"holds/{hold_id}/commit", _COMMIT, headers, _OK)


async def _many_holds_and_commits(connection: Connection, headers: dict[str, str], part: Part) -> None:
    prefix, numbers = uuid4().hex, itertools.count()
    holds = [_operation("hold", f"{prefix}{next(numbers)}", lease_s=3600) for _ in range(BATCH)]
    made = await _ask_many(connection, headers, part, holds)
    commits = [_operation("commit-hold", f"{prefix}{next(numbers)}", hold_id=hold_id) for hold_id in made]
    if commits:
        await _ask_many(connection, headers, part, commits)


def _operation(op: str, key: str, **more: object) -> dict[str, object]:
    return {"op": op, "idempotency_key": key, "amount": "0.01", **more}


async def _ask_many(
    connection: Connection, headers: dict[str, str], part: Part, operations: list[dict[str, object]]
) -> list[str]:
    """Ids of what was done."""
    raw = await _ask(connection, part, "batch", msgspec.json.encode({"operations": operations}), headers, _OK)
    if raw is None:
        return []
    done = [result["result"]["subject_id"] for result in msgspec.json.decode(raw)["results"] if "result" in result]
    part.done += len(done) - 1
    part.errors += len(operations) - len(done)
    return done


async def _ask(
    connection: Connection, part: Part, path: str, body: bytes, headers: dict[str, str], wanted: int
) -> bytes | None:
    """The body of the wanted answer; another one is counted."""
    key = {"Idempotency-Key": uuid4().hex} if path != "batch" else {}
    before = time.perf_counter()
    status, raw = await connection.ask(post(f"/api/v1/ledger/{path}", body, headers | key))
    part.ms.append((time.perf_counter() - before) * 1_000)
    if status != wanted:
        part.errors += 1
        return None
    part.done += 1
    return raw
