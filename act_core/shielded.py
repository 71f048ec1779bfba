"""Work that is not left half done when whoever waits for it is cancelled."""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: "asyncio.Future[T]") -> T:
    """What comes of it; whoever is cancelled meanwhile waits for its end first."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await ended(work)
        raise


async def ended(work: "asyncio.Future[Any]") -> None:
    """Wait for its end, however often somebody cancels meanwhile. What comes of it is for nobody any more."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()
