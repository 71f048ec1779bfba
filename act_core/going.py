"""Work that outlives who asked for it: a window of a minute ends, a transfer of ten minutes goes on."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts

logger = log(__name__)
LONGEST = 6 * 3600.0  # seconds; the calls' own deadlines end them long before, so this one only ends a bug of ours
Make = Callable[[], Coroutine[Any, Any, Counts]]


class Going:
    """Rounds by their work, at most one each in this event loop.

    Who is cancelled while it waits for a round leaves it behind; the next one who asks for the same work waits for it.
    """

    def __init__(self) -> None:
        self._rounds: dict[Hashable, asyncio.Task[Counts]] = {}
        self._left: set[Hashable] = set()  # nobody waits for these

    async def run(self, work: Hashable, make: Make, wait: float) -> Counts:
        """A new round, or what comes of the one that was left behind; `busy` if somebody waits for it already.

        `wait`: seconds to stand behind such a one before a round of our own.
        """
        if work in self._rounds and work not in self._left:
            await asyncio.wait([self._rounds[work]], timeout=wait)
            if work in self._rounds:
                return Counts(busy=1)
        if work not in self._rounds:
            self._rounds[work] = asyncio.create_task(self._bounded(make))
            self._rounds[work].add_done_callback(partial(self._over, work))
        self._left.discard(work)
        try:
            return await asyncio.shield(self._rounds[work])
        except asyncio.CancelledError:
            if work in self._rounds:
                self._left.add(work)
            raise

    async def finish(self) -> None:
        """Wait for all of them."""
        while self._rounds:
            await asyncio.wait(list(self._rounds.values()))

    async def give_up(self, patience: float = 0) -> None:
        """Wait so many seconds, then cancel the rest; what they settle at that moment is settled."""
        if self._rounds:
            await asyncio.wait(list(self._rounds.values()), timeout=patience)
        for one in self._rounds.values():
            one.cancel()
        await self.finish()

    async def _bounded(self, make: Make) -> Counts:
        async with asyncio.timeout(LONGEST):
            return await make()

    def _over(self, work: Hashable, one: "asyncio.Task[Counts]") -> None:
        del self._rounds[work]
        self._left.discard(work)
        err = None if one.cancelled() else one.exception()
        if err is not None and not isinstance(err, ActError):
            logger.error("a bug of ours: %s", err or type(err).__name__, exc_info=err)
