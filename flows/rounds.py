"""What goes on in a window: look for due keys, do rounds for each as long as the window is open, count."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from act_core.apps import Part
from act_core.ce.gathering import chunked
from act_core.db import queries
from act_core.errors import AppBroken, Transient
from act_core.logs import log
from act_core.runtime import Counts
from act_core.stages import VERDICTS, Tower
from act_core.words import redact
from flows import stops
from flows.tasks import AsTasks, Caller, Done

logger = log(__name__)
LEAST_LEFT = 5.0  # seconds: with less of the window left a retry is not worth it
GRACE = 1.0  # seconds that a straggler gets after the end
BREATH = 2.0  # and that hundreds of them take to tell, where the machine is busy
LEASE_WAIT = 30.0  # seconds that a pass waits for a lease
PASS = 300.0  # seconds that a pass may take
GROUP, GROUPS = 10, 2  # keys of a group, where there are too many for a task each; with more than so many groups, more
Work = tuple[Part, str]
GOES_ON = "going on"  # a round that the next window, too, may wait for


@dataclass(slots=True)
class Group:
    """Keys of one part that share a Prefect task; each is an asyncio task of its own. Late comers may join."""

    part: Part
    number: int
    name: str
    members: "list[asyncio.Task[Done]]" = field(default_factory=list)

    def over(self) -> bool:
        """Whether its task has ended, or will before anybody else could join it."""
        return all(one.done() for one in self.members)

    async def run(self) -> Done:
        """What all of them did. Raises a member's bug, after the others are through."""
        try:
            while waiting := [one for one in self.members if not one.done()]:
                await asyncio.wait(waiting)
        finally:
            for one in self.members:
                one.cancel()
        done = [one.result() for one in self.members]
        return sum((counts for counts, _ in done), Counts()), [words for _, troubles in done for words in troubles]


class Window:
    """One window of one stage in this process; `seconds` 0: one pass over what is due, or over the CEs `only`.

    `expected`: keys that it may have in the end; they come one by one, and where there are many all are grouped.
    """

    def __init__(
        self,
        tower: Tower,
        stage: str,
        seconds: float,
        only: Sequence[str] = (),
        caller: Caller | None = None,
        expected: int = 0,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.tower, self.stage, self.only, self.once = tower, stage, frozenset(only), seconds <= 0
        self.until = asyncio.get_running_loop().time() + (PASS if self.once else seconds)
        self.counts = Counts()
        self.did: dict[str, Counts] = {}  # by key
        self.troubles: dict[str, str] = {}  # the last one of each key
        self.bugs: list[str] = []
        self._retried: dict[Work, Exception] = {}  # what a retry is for
        self.parts = list(tower.parts(stage))  # only grows: another configuration may bring further ones
        self.groups: list[Group] = []
        self._caller, self._expected = caller or AsTasks(), expected
        self._wake: dict[Work, asyncio.Event] = {}
        self._over: dict[Work, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[object]] = []
        self._house: asyncio.Task[Counts] | None = None

    @property
    def keys(self) -> int:
        """That had work so far."""
        return len(self._wake)

    def left(self) -> float:
        return self.until - asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Until the end, or until somebody wants it to stop. Nothing that takes longer delays the end."""
        pause = self.tower.rt.settings.arc.prefect.pause
        await self._look()
        while self.left() > 0 and not stops.wanted() and not (self.once and self._through()):
            if self.once:
                await asyncio.wait(self._tasks, timeout=pause)
            else:
                await asyncio.sleep(min(pause, self.left()))
                await self._look()
        self.until = min(self.until, asyncio.get_running_loop().time())  # who waits for work ends now
        await self._end()

    def _through(self) -> bool:
        return all(one.done() for one in self._tasks)

    async def _look(self) -> None:
        """One indexed query a part; trouble with the database is counted, and the window goes on."""
        if not self.once:
            self._keep_house()
        try:
            found = dict.fromkeys(await self._due())
        except Transient as err:
            self._note("database", err)
            return
        for work in found.keys() & self._wake.keys():
            self._wake[work].set()
        self._start([work for work in found if work not in self._wake])

    async def _due(self) -> list[Work]:
        """What has work. A pass takes the CEs that it was told, due or not."""
        found = await self.tower.due(self.stage)
        self.parts += [part for part in self.tower.parts(self.stage) if part not in self.parts]
        if not self.only:
            return found
        chosen = [(part, key) for part, key in found if key in self.only]
        if self.once:
            chosen += [(part, key) for part in self.parts if part.breaker for key in sorted(self.only)]
        return chosen

    def _keep_house(self) -> None:
        """What the stage does beside its keys: never twice at a time, and without holding up the looks."""
        if self._house is None or self._house.done():
            self._collect_house()
            self._house = asyncio.create_task(self.tower.house(self.stage))

    def _collect_house(self) -> None:
        house, self._house = self._house, None
        if house is None or not house.done() or house.cancelled():
            return
        err = house.exception()
        if err is None:
            self.counts += house.result()
        elif isinstance(err, VERDICTS):
            self._note("house", err)
        else:
            self._bug("house", err)

    def _start(self, new: list[Work]) -> None:
        self._wake |= {work: asyncio.Event() for work in new}
        self._over |= {work: asyncio.Event() for work in new}
        if max(self.keys, self._expected) <= self.tower.rt.settings.arc.prefect.max_tasks:
            self._tasks += [asyncio.create_task(self._caller.one(self, part, key)) for part, key in new]
            return
        for part in dict.fromkeys(part for part, _ in new):
            self._start_groups(part, [key for of, key in new if of == part])

    def _start_groups(self, part: Part, keys: list[str]) -> None:
        size = max(GROUP, ceil(sum(of == part for of, _ in self._wake) / GROUPS))
        for group in self.groups:
            while group.part == part and keys and len(group.members) < size and not group.over():
                group.members.append(self._member(part, keys.pop(0)))
        for some in chunked(keys, size):
            name = f"{some[0]}…{some[-1]}" if len(some) > 1 else some[0]
            group = Group(part, len(self.groups) + 1, name, [self._member(part, key) for key in some])
            self.groups.append(group)
            self._tasks.append(asyncio.create_task(self._caller.group(self, group)))

    def _member(self, part: Part, key: str) -> "asyncio.Task[Done]":
        return asyncio.create_task(self.in_time(part, key, last_try=True))

    async def in_time(self, part: Part, key: str, last_try: bool) -> Done:
        """The rounds of one key; at the end one that is under way is left to go on. Raises Transient for a retry."""
        mine = Counts()
        try:
            async with asyncio.timeout(max(self.left(), 0) + GRACE):
                await self._turn_of(part)
                await self._rounds((part, key), mine, last_try)
        except TimeoutError:
            mine[GOES_ON] += 1
            self.counts[GOES_ON] += 1
            self.troubles[key] = "no answer by the end of the window"
        finally:
            self._over[part, key].set()
        if (err := self._retried.pop((part, key), None)) and not mine:  # what failed is not due again so soon
            self._note(key, err)
            mine["errors"] += 1
        return mine, [f"{key}: {self.troubles[key]}"] if key in self.troubles else []

    async def _turn_of(self, part: Part) -> None:
        """In a pass: until all of an earlier turn are through, or have failed for the first time."""
        for (other, _key), over in list(self._over.items()):
            if self.once and other.turn < part.turn:
                await over.wait()

    async def _rounds(self, work: Work, mine: Counts, last_try: bool) -> None:
        """A round when the key is due, then a wait until it is due again; counts as it goes."""
        first = True
        while first or self.left() > 0:
            self._wake[work].clear()
            try:
                counts = await self.tower.round(*work, LEASE_WAIT if self.once else 0)
            except VERDICTS as err:
                if first and not last_try and await self._worth_a_retry(work, err):
                    self._retried[work] = err
                    raise
                self._note(work[1], err)
                mine["errors"] += 1
            else:
                mine.update(counts)
                self.counts.update(counts)
                self.did.setdefault(work[1], Counts()).update(counts)
            first = False
            if self.once or stops.wanted() or not await self._awaken(work):
                return

    async def _worth_a_retry(self, work: Work, err: Exception) -> bool:
        """Trouble that passes, while enough of the window is left and the CE's breaker is closed."""
        part, key = work
        if not isinstance(err, Transient) or self.left() < LEAST_LEFT or stops.wanted():
            return False
        row = await self.tower.rt.read(queries.ce_row, key) if part.breaker else None
        return row is None or row.retry_at is None or row.retry_at <= self.tower.rt.now()

    async def _awaken(self, work: Work) -> bool:
        try:
            await asyncio.wait_for(self._wake[work].wait(), max(self.left(), 0.01))
        except TimeoutError:
            return False
        return self.left() > 0

    async def _end(self) -> None:
        """Errors are counted, never raised; what takes longer goes on without us."""
        for event in self._wake.values():
            event.set()
        ours = [*self._tasks, *(one for group in self.groups for one in group.members)]
        if ours:
            await _given_up(ours, GRACE + BREATH)
        if self.once:
            self._keep_house()  # a pass hears the news that it made
        if self._house:
            await _given_up([self._house], PASS if self.once else GRACE)
            self._collect_house()
        errors = {id(err): err for one in ours if one.done() and not one.cancelled() and (err := one.exception())}
        for err in errors.values():
            if isinstance(err, VERDICTS):
                self._note(self.stage, err)
            else:
                self._bug(self.stage, err)

    def _note(self, key: str, err: BaseException) -> None:
        self.counts["errors"] += 1
        self.troubles[key] = redact(str(err))

    def _bug(self, key: str, err: BaseException) -> None:
        logger.error("%s %s: %s", self.stage, key, err, exc_info=err)
        self.bugs.append(redact(str(err) if isinstance(err, AppBroken) else f"{key}: {type(err).__name__}: {err}"))


async def _given_up(tasks: "Sequence[asyncio.Task[object]] | Sequence[asyncio.Task[Counts]]", seconds: float) -> None:
    """Wait so long, then cancel the rest. A task may take a breath to write what it has in hand."""
    _, stuck = await asyncio.wait(list(tasks), timeout=seconds)
    for one in stuck:
        one.cancel()
    if stuck:
        await asyncio.wait(stuck, timeout=GRACE)
