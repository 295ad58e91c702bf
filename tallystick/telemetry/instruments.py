"""Everything that is counted or measured, by name, unit and meaning. Labels have few values, never an id."""

from __future__ import annotations

from opentelemetry.metrics import Meter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MINUTES = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class Instruments:
    """The instruments of one process."""

    def __init__(self, meter: Meter) -> None:
        self.ledger_requests = meter.create_counter(
            "tallystick.ledger.requests",
            "{request}",
            "answers of the ledger by operation and outcome: done, replayed, tried or a code",
        )
        self.ledger_answers = meter.create_counter(
            "tallystick.ledger.answers",
            "{request}",
            "answers of the writer, to whoever asked: done, replayed, tried or a code",
        )
        self.ledger_unknown = meter.create_counter(
            "tallystick.ledger.unknown", "{request}", "requests of which the writer cannot say what became of them"
        )
        self.ledger_batch = meter.create_histogram(
            "tallystick.ledger.batch",
            "{request}",
            "requests in one batch of the writer",
            explicit_bucket_boundaries_advisory=_COUNTS,
        )
        self.ledger_lock_wait = meter.create_histogram(
            "tallystick.ledger.lock.wait",
            "s",
            "time that the writer waited for the append lock",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.ledger_read = meter.create_histogram(
            "tallystick.ledger.read",
            "s",
            "time from the start of a batch's transaction until it was read back, lock and all",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.ledger_commit = meter.create_histogram(
            "tallystick.ledger.commit",
            "s",
            "time to insert and commit a batch",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.jobs_ended = meter.create_counter("tallystick.jobs.ended", "{job}", "jobs by how they ended")
        self.attempts = meter.create_counter("tallystick.attempts", "{attempt}", "attempts on nodes by result")
        self.attempt_time = meter.create_histogram(
            "tallystick.attempt.time",
            "s",
            "time that a worker spent on one attempt",
            explicit_bucket_boundaries_advisory=_MINUTES,
        )
        self.node_calls = meter.create_histogram(
            "tallystick.node.call",
            "s",
            "calls to nodes by what was asked and what came back",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.folded = meter.create_counter("tallystick.follower.events", "{event}", "events folded by follower")
        self.messages = meter.create_counter("tallystick.messages", "{message}", "dramatiq messages by actor and end")
        self.http = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "time until a request was answered; of a live stream, until it began",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
