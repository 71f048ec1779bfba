"""Many calls side by side, with an answer for each; and long lists in pieces."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from act_core.errors import ActError

K = TypeVar("K")
V = TypeVar("V")


def chunked(items: Iterable[K], size: int) -> Iterator[list[K]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def each(keys: Iterable[K], call: Callable[[K], Awaitable[V]]) -> dict[K, V]:
    """The answer for each key. The first error ends the others and is raised."""
    asked = list(dict.fromkeys(keys))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(_run(call, key)) for key in asked}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return {key: task.result() for key, task in tasks.items()}


async def answered(keys: Iterable[K], call: Callable[[K], Awaitable[V]]) -> dict[K, V]:
    """The answers. A key whose call raised a verdict is left out; if there is no answer at all, it is raised."""
    asked = list(dict.fromkeys(keys))
    came = await asyncio.gather(*(call(key) for key in asked), return_exceptions=True)
    errors = [one for one in came if isinstance(one, BaseException)]
    for err in errors:
        if len(errors) == len(asked) or not isinstance(err, ActError):
            raise err
    return {key: one for key, one in zip(asked, came, strict=True) if not isinstance(one, BaseException)}


async def _run(call: Callable[[K], Awaitable[V]], key: K) -> V:
    return await call(key)
