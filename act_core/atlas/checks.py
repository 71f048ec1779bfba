"""Questions to storage that are under way: a job is answered when its own files are, however slow other hosts are."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf

from act_core.atlas.books import Booked
from act_core.atlas.outputs import files_of
from act_core.storage.base import Verdict, Wanted
from act_core.storage.storage import Storage

BATCH_S = 1.0  # answers that come within so long are settled together
PATIENCE_S = 5.0  # a round waits no longer


@dataclass(slots=True, eq=False)
class Looked:
    """A job whose files are asked for. `said`: the answers so far."""

    row: Booked  # as it stands
    files: Mapping[str, Wanted | Verdict]
    claimed: bool = False
    said: dict[Wanted, Verdict] = field(default_factory=dict)

    @property
    def wanted(self) -> set[Wanted]:
        return {one for one in self.files.values() if isinstance(one, Wanted)}

    def over(self) -> bool:
        return self.wanted <= self.said.keys()

    def verdicts(self) -> Iterator[Verdict]:
        """Of each file."""
        return (self.said[one] if isinstance(one, Wanted) else one for one in self.files.values())


class Checks:
    """The jobs that one process asks storage about. Belongs to one event loop."""

    def __init__(self) -> None:
        self._rounds: dict[asyncio.Task[None], list[Looked]] = {}  # what is not settled yet
        self._errors: list[Exception] = []

    def _jobs(self) -> Iterator[Looked]:
        return chain.from_iterable(self._rounds.values())

    def calls(self) -> list[asyncio.Task[None]]:
        return list(self._rounds)

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._rounds.values())

    def not_begun(self, rows: Sequence[Booked]) -> list[Booked]:
        mine = {one.row.id for one in self._jobs()}
        return [row for row in rows if row.id not in mine]

    def over(self) -> bool:
        """Whether there is anything to settle."""
        return any(task.done() for task in self._rounds) or any(one.over() for one in self._jobs())

    def begin(self, storage: Storage, rows: Sequence[Booked]) -> "asyncio.Task[None] | None":
        """Ask for the files of these jobs."""
        if not rows:
            return None
        new = [Looked(row, files_of(row)) for row in rows]
        task = asyncio.create_task(_ask(storage, tuple(new)))
        self._rounds[task] = new
        return task

    async def answered(self, begun: "asyncio.Task[None] | None", lasting: bool) -> AsyncIterator[list[Looked]]:
        """The jobs whose files are all answered, as they come; what `begun` asks for longer than a round goes on.

        `lasting` False: nothing may go on beside the round.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + (PATIENCE_S if lasting else inf)
        waits = True
        while waits:
            left = ends - loop.time()
            if begun is not None and not begun.done():
                await asyncio.wait(self._rounds, timeout=min(BATCH_S, left), return_when=asyncio.FIRST_COMPLETED)
            waits = begun is not None and not begun.done() and left > 0
            if over := self._take():
                yield over

    def _take(self) -> list[Looked]:
        """Those that are answered. Of a round that ended with an error the others are forgotten, and asked for anew."""
        over = [one for one in self._jobs() if one.over()]
        for task, jobs in list(self._rounds.items()):
            self._rounds[task] = [one for one in jobs if not one.over()]
            if task.done():
                del self._rounds[task]
                if not task.cancelled() and isinstance(err := task.exception(), Exception):
                    self._errors.append(err)
        return over

    def unclaimed(self) -> list[Booked]:
        """The rows of those that go on and whose claim is not written yet."""
        return [one.row for one in self._jobs() if not one.claimed]

    def claimed(self, written: Collection[Booked]) -> None:
        """Their claims are written; who has changed meanwhile is let go."""
        for task, jobs in self._rounds.items():
            self._rounds[task] = [one for one in jobs if one.claimed or one.row in written]
        for one in self._jobs():
            if not one.claimed:
                one.row, one.claimed = replace(one.row, version=one.row.version + 1), True

    def raise_errors(self) -> None:
        """The first error of the rounds that are over."""
        errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    async def close(self) -> None:
        """Give all of them up: their claims run out."""
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        self._rounds.clear()


async def _ask(storage: Storage, jobs: Sequence[Looked]) -> None:
    whose: dict[Wanted, list[Looked]] = {}
    for job in jobs:
        for file in job.wanted:
            whose.setdefault(file, []).append(job)
    async with aclosing(storage.answers(whose)) as answers:
        async for file, verdict in answers:
            for job in whose[file]:
                job.said[file] = verdict
