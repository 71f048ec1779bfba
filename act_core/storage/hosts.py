"""One storage host: how many files at a time, until when, and the breaker that lets a host in trouble rest."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from act_core.storage.base import Limits, Unreachable

V = TypeVar("V")


@dataclass(slots=True)
class Breaker:
    """Times in seconds of one clock. After `limit` failures in a row the host rests; then one file is the probe."""

    limit: int
    pause: float
    longest: float
    failures: int = 0  # in a row; each beyond `limit` is a probe that failed
    until: float = 0.0
    words: str = ""  # of the last failure
    probing: bool = False

    def refuses(self, now: float) -> str:
        """Why a file cannot be asked for now, or nothing; then `good`, `bad` or `release` must follow."""
        if self.failures < self.limit:
            return ""
        if now < self.until:
            return f"it rests for {self.until - now:.0f} s: {self.words}"
        if self.probing:
            return f"it is being tried again: {self.words}"
        self.probing = True
        return ""

    def ripe(self, now: float) -> bool:
        """Whether the next file is a probe."""
        return self.failures >= self.limit and now >= self.until and not self.probing

    def good(self) -> None:
        self.failures, self.probing, self.words = 0, False, ""

    def bad(self, now: float, words: str) -> None:
        if self.failures >= self.limit and not self.probing:
            return  # begun before it rested
        self.failures, self.probing, self.words = self.failures + 1, False, words
        if self.failures >= self.limit:
            doubled = self.pause * 2 ** min(self.failures - self.limit, 30)
            self.until = now + min(doubled, self.longest)

    def release(self) -> None:
        """It was not found out."""
        self.probing = False


@dataclass(frozen=True, slots=True)
class Errand(Generic[V]):
    """One question about one file. `away`: what it means that there is no answer; words, and whether it was asked."""

    run: Callable[[], Awaitable[V]]
    away: Callable[[str, bool], V]
    tell: Callable[[V], None]


class Host:
    """Shared by all rounds of one loop."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float]) -> None:
        self.name = name
        self.users = 0
        self._limits, self._clock = limits, clock
        self._gate = asyncio.Semaphore(limits.perhost)
        self._longest = min(limits.timeout, limits.deadline).total_seconds()
        self.breaker = Breaker(limits.failures, limits.rest.total_seconds(), limits.longest_rest.total_seconds())

    def forgettable(self) -> bool:
        """Nothing would be lost with it: nobody uses it, and it has no trouble, or had it long ago."""
        rested = self._clock() - self.breaker.until > self._limits.longest_rest.total_seconds()
        return not self.users and (not self.breaker.failures or rested)

    async def serve(self, errands: Collection[Errand[V]]) -> None:
        """Each errand is told exactly one answer."""
        todo, under_way = deque(errands), set[int]()
        left = {id(errand): errand for errand in errands}
        self.users += 1
        try:
            async with asyncio.timeout(self._limits.deadline.total_seconds()):
                if todo and self.breaker.ripe(self._clock()):
                    await self._one(todo.popleft(), left, under_way)
                workers = range(min(self._limits.perhost, len(todo)))
                await together([self._work(todo, left, under_way) for _ in workers])
        except TimeoutError:
            limit = _shown(self._limits.deadline)
            for key, errand in left.items():
                errand.tell(errand.away(f"{self.name}: no time left in a round of {limit}", key in under_way))
        finally:
            self.users -= 1

    async def _work(self, todo: deque[Errand[V]], left: dict[int, Errand[V]], under_way: set[int]) -> None:
        while todo:
            await self._one(todo.popleft(), left, under_way)

    async def _one(self, errand: Errand[V], left: dict[int, Errand[V]], under_way: set[int]) -> None:
        async with self._gate:
            if words := self.breaker.refuses(self._clock()):
                answer = errand.away(f"{self.name}: {words}", False)
            else:
                under_way.add(id(errand))
                answer = await self._asked(errand)
        del left[id(errand)]
        errand.tell(answer)

    async def _asked(self, errand: Errand[V]) -> V:
        began = self._clock()
        try:
            async with asyncio.timeout(self._longest):
                answer = await errand.run()
        except TimeoutError:
            words = f"no answer within {_shown(timedelta(seconds=self._longest))}"
        except Unreachable as err:
            words = str(err)
        except BaseException:
            if self._clock() - began >= self._longest / 2:  # the round ended: it hangs
                self.breaker.bad(self._clock(), "no answer")
            else:
                self.breaker.release()
            raise
        else:
            self.breaker.good()
            return answer
        self.breaker.bad(self._clock(), words)
        return errand.away(f"{self.name}: {words}", True)


async def together(deeds: Collection[Coroutine[Any, Any, None]]) -> None:
    """Side by side. The first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for deed in deeds:
                group.create_task(deed)
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def _shown(time: timedelta) -> str:
    return f"{time.total_seconds():g} s"
