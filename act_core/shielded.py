"""Work that is not left half done when whoever waits for it is cancelled."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: "asyncio.Future[T]") -> T:
    """What comes of it; whoever is cancelled meanwhile waits for its end first."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
