"""Listens to an attempt's live stream: signs of life for the core, progress and previews for whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, Thread
from uuid import UUID

from ledger.ports import Clock
from workers.nodes.port import Dropped, Ended, Executor, Live, Preview, Progress, Quiet
from workers.progress import Progress as ProgressPort
from workers.progress import ProgressMessage, preview_message

_QUIET_S = 1.0
_REOPEN_S = 1.0
_TELL_S = 0.2
_SAMPLED_SHARE = 0.95
"""What of the whole the sampling steps are; decoding and saving have no ticks of their own."""


class Listener:
    """One attempt's stream, on a thread of its own, opened again when it drops. Never decides an outcome."""

    def __init__(
        self, executor: Executor, attempt_id: UUID, clock: Clock, *, tell: Callable[[ProgressMessage], None]
    ) -> None:
        self._executor = executor
        self._attempt_id = attempt_id
        self._clock = clock
        self._tell = tell
        self._stopping = Event()
        self._fraction = 0.0
        self._told_s = 0.0
        self.heard_s: float | None = None
        self.preview_s: float | None = None
        self.news = Event()
        self._open = Event()
        self._thread = Thread(target=self._work, name="listener", daemon=True)

    def start(self, *, wait_s: float) -> None:
        """Open the stream; returns once it is open or ``wait_s`` have passed: the job goes on without it."""
        self._thread.start()
        self._open.wait(wait_s)

    def stop(self) -> None:
        """Stop listening; the thread ends within a second or two by itself."""
        self._stopping.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._executor.watch(self._attempt_id, quiet_s=_QUIET_S) as stream:
                self._open.set()
                if self._listen(stream):
                    return
            self._stopping.wait(_REOPEN_S)

    def _listen(self, stream: Iterator[Live]) -> bool:
        """Whether the stream is over for good."""
        for item in stream:
            if self._stopping.is_set():
                return True
            match item:
                case Progress():
                    self._progress(item)
                case Preview():
                    self._preview(item)
                case Ended():
                    self.news.set()
                    return True
                case Dropped():
                    return False
                case Quiet():
                    continue
        return False

    def _progress(self, item: Progress) -> None:
        self.heard_s = self._clock.monotonic_s()
        if item.maximum > 1:
            self._fraction = max(self._fraction, min(1.0, item.value / item.maximum) * _SAMPLED_SHARE)
        if self.heard_s - self._told_s >= _TELL_S:
            self._told_s = self.heard_s
            self._tell(ProgressMessage(kind="progress", fraction=round(self._fraction, 4)))

    def _preview(self, item: Preview) -> None:
        now_s = self.heard_s = self._clock.monotonic_s()
        message = preview_message(item.mime, item.content, fraction=round(self._fraction, 4))
        if message is not None:
            self._tell(message)
            self.preview_s = self.preview_s or now_s


def teller(progress: ProgressPort, job_id: UUID) -> Callable[[ProgressMessage], None]:
    """Publish about one job."""
    return lambda message: progress.publish(job_id, message)
