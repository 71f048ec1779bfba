"""One storage host: how many files at a time, until when, and the breaker that lets a host in trouble rest."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from act_core.storage.base import Limits, Unreachable
from act_core.storage.turns import Turn, Turns

V = TypeVar("V")
SLOW = 0.1  # of the time that a file may take: a file that takes longer lets others have its turn


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

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float], aside: bool = True) -> None:
        """`aside`: files that take long let others have their turn."""
        self.name = name
        self.users = 0
        self._limits, self._clock = limits, clock
        self._longest = min(limits.timeout, limits.deadline).total_seconds()
        self._slow = self._longest * SLOW
        self._turns = Turns(limits.perhost, aside)
        self._heard = float("-inf")  # when an answer came last
        self.breaker = Breaker(limits.failures, limits.rest.total_seconds(), limits.longest_rest.total_seconds())

    def forgettable(self) -> bool:
        """Nothing would be lost with it: nobody uses it, and it has no trouble, or had it long ago."""
        rested = self._clock() - self.breaker.until > self._limits.longest_rest.total_seconds()
        return not self.users and (not self.breaker.failures or rested)

    async def serve(self, errands: Collection[Errand[V]]) -> None:
        """Each errand is told exactly one answer."""
        todo, asked = deque(errands), set[int]()
        left = {id(errand): errand for errand in errands}
        self.users += 1
        try:
            async with asyncio.timeout(self._limits.deadline.total_seconds()), side_by_side() as group:
                if todo and self.breaker.ripe(self._clock()):
                    probe = await self._begin(group, todo.popleft(), left, asked)
                    await asyncio.wait([probe], timeout=self._slow)
                while todo:
                    await self._begin(group, todo.popleft(), left, asked)
        except TimeoutError:
            limit = _shown(self._limits.deadline)
            for key, errand in left.items():
                errand.tell(errand.away(f"{self.name}: no time left in a round of {limit}", key in asked))
        finally:
            self.users -= 1

    async def _begin(
        self, group: asyncio.TaskGroup, errand: Errand[V], left: dict[int, Errand[V]], asked: set[int]
    ) -> "asyncio.Task[None]":
        """When it is its turn."""
        turn = await self._turns.take()
        going = group.create_task(self._one(errand, turn, left, asked))
        going.add_done_callback(lambda _: turn.end())  # it may be cancelled before it has begun
        return going

    async def _one(self, errand: Errand[V], turn: Turn, left: dict[int, Errand[V]], asked: set[int]) -> None:
        if words := self.breaker.refuses(self._clock()):
            answer = errand.away(f"{self.name}: {words}", False)
        else:
            asked.add(id(errand))
            answer = await self._in_turn(errand, turn)
        del left[id(errand)]
        errand.tell(answer)

    async def _in_turn(self, errand: Errand[V], turn: Turn) -> V:
        began, probe = self._clock(), self.breaker.probing  # anybody but the probe is refused meanwhile
        late = asyncio.get_running_loop().call_later(self._slow, self._late, turn, began, probe)
        try:
            return await self._asked(errand, turn, began)
        except BaseException:
            if self._clock() - began >= self._longest / 2:  # the round ended: it hangs
                self._silent_since(began, "no answer")
            elif probe:
                self.breaker.release()
            raise
        finally:
            late.cancel()

    def _late(self, turn: Turn, began: float, probe: bool) -> None:
        turn.step_aside()
        if probe:
            self._silent_since(began, f"no answer within {_shown(timedelta(seconds=self._slow))}")

    async def _asked(self, errand: Errand[V], turn: Turn, began: float) -> V:
        try:
            async with asyncio.timeout(self._longest):
                answer = await errand.run()
        except TimeoutError:
            words = f"no answer within {_shown(timedelta(seconds=self._longest))}"
            self._silent_since(began, words)
        except Unreachable as err:
            words = str(err)
            if turn.aside:  # the back end waited, and gave up
                self._silent_since(began, words)
            else:
                turn.heard = True
                self.breaker.bad(self._clock(), words)
        else:
            turn.heard, self._heard = True, self._clock()
            self.breaker.good()
            return answer
        return errand.away(f"{self.name}: {words}", True)

    def _silent_since(self, began: float, words: str) -> None:
        """A file's trouble, and the host's own if it has answered for no other meanwhile."""
        if self._heard <= began:
            self.breaker.bad(self._clock(), words)


async def together(deeds: Collection[Coroutine[Any, Any, None]]) -> None:
    """Side by side. The first error ends the others and is raised as it is."""
    async with side_by_side() as group:
        for deed in deeds:
            group.create_task(deed)


@asynccontextmanager
async def side_by_side() -> AsyncIterator[asyncio.TaskGroup]:
    """A group whose first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def _shown(time: timedelta) -> str:
    return f"{time.total_seconds():g} s"
