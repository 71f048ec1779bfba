"""Many calls side by side, with an answer for each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


async def each(keys: Iterable[K], call: Callable[[K], Awaitable[V]]) -> dict[K, V]:
    """The answer for each key. The first error ends the others and is raised."""
    asked = list(dict.fromkeys(keys))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(_run(call, key)) for key in asked}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return {key: task.result() for key, task in tasks.items()}


async def _run(call: Callable[[K], Awaitable[V]], key: K) -> V:
    return await call(key)
