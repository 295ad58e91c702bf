"""The bench of the ledger over HTTP, as short as may be: its figures mean nothing here, its errors do."""

from __future__ import annotations

import pytest

from tallystick.bench.http import SERVER, Load, measure
from tallystick.settings import Settings


@pytest.mark.timeout(300)
def test_the_ledger_is_measured_over_http_without_an_error(settings: Settings) -> None:
    told: list[str] = []
    figures = measure(settings, Load(seconds=0.5, connections=4, batch_connections=1), told.append)
    assert figures.errors == 0
    assert figures.singles_per_s > 0 and figures.batch_commands_per_s > 0
    assert figures.singles_p50_ms <= figures.singles_p99_ms
    assert (figures.server, figures.other_server) == (SERVER, "granian")
    assert figures.other_singles_per_s and figures.other_batch_commands_per_s
    assert told == [f"{server}: {part}" for server in (SERVER, "granian") for part in ("one by one", "batches")]
