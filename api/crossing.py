"""The one place where the asynchronous side calls the synchronous one: a bounded pool of threads, a bounded queue."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from api.errors import Overloaded
from api.limits import RETRY_AFTER_BUSY_S, THREADS, WAITING_MAX

P = ParamSpec("P")
T = TypeVar("T")


class Crossing:
    """Runs blocking calls. Used from one event loop; ``close`` waits for what runs."""

    def __init__(self, threads: int = THREADS, waiting_max: int = WAITING_MAX) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self._open_max = threads + waiting_max
        self._open = 0

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call on a thread, with this task's context.

        A caller that goes away leaves the call running: what it does stays whole.

        :raises Overloaded: too many wait already.
        """
        if self._open >= self._open_max:
            raise Overloaded("too many requests wait", headers={"Retry-After": str(RETRY_AFTER_BUSY_S)})
        context = contextvars.copy_context()
        self._open += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: context.run(function, *args, **kwargs)
        )
        future.add_done_callback(self._ended)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Stop taking calls, and wait for those that run."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _ended(self, future: asyncio.Future[T]) -> None:
        self._open -= 1
        if not future.cancelled():
            future.exception()  # looked at, so that a caller who went away is not reported as a fault
