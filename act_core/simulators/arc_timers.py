"""Alarms and work in progress, by key: one task for any number of alarms, a task for each piece of work."""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

BURST = 200  # alarms between two looks at the network

T = TypeVar("T")


class Timers:
    """One alarm for a key; a later order takes the place of an earlier one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._tickets: dict[str, int] = {}
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def later(self, key: str, delay: float) -> None:
        ticket = self._tickets[key] = next(self._order)
        heapq.heappush(self._heap, (time.monotonic() + delay, ticket, key))
        self._wake.set()

    def cancel(self, key: str) -> None:
        self._tickets.pop(key, None)

    async def run(self, ring: Callable[[str], None]) -> None:
        """Rings for ever."""
        while True:
            for _ in range(BURST):
                if (key := self._due()) is None:
                    break
                ring(key)
            wait = self._heap[0][0] - time.monotonic() if self._heap else None
            if wait is not None and wait <= 0:
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for would swallow a cancel that comes with the wake
                    await self._wake.wait()

    def _due(self) -> str | None:
        while self._heap and self._heap[0][0] <= time.monotonic():
            _, ticket, key = heapq.heappop(self._heap)
            if self._tickets.get(key) == ticket:
                del self._tickets[key]
                return key
        return None


class Work:
    """Tasks by key, one at a time for each."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def start(
        self,
        key: str,
        work: Coroutine[Any, Any, T],
        then: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Calls `then` or `failed` in the loop, unless the work is stopped before its end."""

        def done(task: asyncio.Task[T]) -> None:
            if task.cancelled() or self._tasks.get(key) is not task:
                return
            del self._tasks[key]
            if (error := task.exception()) is not None:
                failed(error)
            else:
                then(task.result())

        task = asyncio.get_running_loop().create_task(work)
        self._tasks[key] = task
        task.add_done_callback(done)

    def stop(self, key: str) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    async def stop_all(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
