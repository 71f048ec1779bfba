"""One group of cells tried: the life is lived, and what is wrong afterwards is said in words."""

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from tests.atlas.house import Killed
from tests.faults.matrix.bench import Bench, open_bench, stories
from tests.faults.matrix.cells import KILLS, SLEEPS, UNHEARD, Cell, Group
from tests.faults.matrix.lives import LIVES, Life
from tests.faults.matrix.mortal import Deaf, Death, Sleep
from tests.faults.matrix.plights import PLIGHTS, Plight
from tests.faults.matrix.striker import Strike

SILENT = {
    "reply twice",
    "sent twice",
    "truncated lists",
    "CE clock off",
    *KILLS,
    *SLEEPS,
    UNHEARD,
}  # of these the tower need not know
STORIES = ("answer lost", "adopted", "never arrived", "does not speak", "call lost", "answers ", "orphans")
BUGS = ("a bug of ours", "illegal move", "wrong report")


@dataclass(frozen=True)
class Tried:
    """`wrong`: what is not as it has to be; empty: the cell holds. `recovery`: seconds on the test's clock."""

    cell: Cell
    recovery: float
    wrong: tuple[str, ...]


class Heard(logging.Handler):
    """What the tower said from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None or not isinstance(
            record.exc_info[1], Killed
        ):  # its own death is no word of the tower
            self.words.append(record.getMessage())


@contextmanager
def listening() -> Iterator[Heard]:
    heard, root = Heard(), logging.getLogger("act")
    root.addHandler(heard)
    try:
        yield heard
    finally:
        root.removeHandler(heard)


Fault = Strike | Death | Sleep | Deaf | Plight


def fault_of(cell: Cell) -> Fault:
    if cell.fault in PLIGHTS:
        return PLIGHTS[cell.fault]()
    if cell.fault in SLEEPS:
        return Sleep(cell.point, after=cell.point == "claim.claim", seconds=SLEEPS[cell.fault])
    if cell.fault == UNHEARD:
        return Deaf(cell.point)
    return Death(cell.point, after=cell.fault == "killed after") if cell.write else Strike(cell.point, cell.fault)


async def tried(group: Group, base: Settings, pki: TestPki, root: Path) -> list[Tried]:
    """Live it, and judge."""
    life = LIVES[group.life]
    with listening() as heard:
        async with open_bench(base, pki, root) as bench:
            faults = [fault_of(cell) for cell in group.cells]
            bench.planned = [one for one in faults if not isinstance(one, Plight)]
            bench.plights = [one for one in faults if isinstance(one, Plight)]
            bench.stages = life.stages
            await life.begin(bench)
            await bench.live(life.also)
            wrong = await judged(bench, life, heard)
            return [_tried(cell, fault, bench, wrong, heard) for cell, fault in zip(group.cells, faults, strict=True)]


def _tried(cell: Cell, fault: Fault, bench: Bench, wrong: Sequence[str], heard: Heard) -> Tried:
    if fault.at is None:
        return Tried(cell, 0.0, (*wrong, "the fault never struck"))
    recovery = _recovery(cell, fault, fault.at, bench)
    silent = cell.fault in SILENT or recovery < 1 or heard.words or bench.told or bench.errors
    told = () if silent else ("nobody was told",)
    late = () if recovery <= cell.limit else (f"recovered after {recovery:.0f} s of {cell.limit:.0f}",)
    return Tried(cell, recovery, (*wrong, *told, *late))


def _recovery(cell: Cell, fault: Fault, struck: datetime, bench: Bench) -> float:
    """Seconds from the end of the fault until the same call went well, or until nothing was left to do."""
    end = bench.done_at if bench.done_at and bench.done_at >= struck else bench.rt.now()
    if isinstance(fault, Plight):
        return (end - (fault.back or struck)).total_seconds() if end > (fault.back or struck) else 0.0
    back = fault.back if isinstance(fault, Strike) and cell.fault not in KILLS else None
    return ((back or end) - struck).total_seconds()


async def judged(bench: Bench, life: Life, heard: Heard) -> list[str]:
    """What the CE's witness, PanDA's books, the CE's and the tower's tables say against it."""
    wrong, ran = [], bench.executions()
    for job in bench.jobs:
        if job.status != life.ends:
            wrong.append(f"PanDA has {job.number} as {job.status}")
        if life.ends != "cancelled" and not job.finals:
            wrong.append(f"{job.number}: no final report")
        if ran.get(str(job.number), 0) not in life.runs:
            wrong.append(f"{job.number} was executed {ran.get(str(job.number), 0)} times")
    if left := len(bench.arc.service.books.jobs):
        wrong.append(f"{left} jobs are left on the CE")
    wrong += [f"{number}: given up, and it ran" for number in bench.given_up if str(number) in ran]
    if not await bench.over(at_rest=True):
        wrong.append("the tables are not at rest")
    bench.told = any(word in story for story in await bench.rt.read(stories) for word in STORIES)
    wrong += [f"said: {words}" for words in heard.words if any(bug in words for bug in BUGS)]
    return wrong


@asynccontextmanager
async def healthy(life: str, base: Settings, pki: TestPki, root: Path) -> AsyncIterator[Bench]:
    """A life without a fault."""
    async with open_bench(base, pki, root) as bench:
        bench.stages = LIVES[life].stages
        await LIVES[life].begin(bench)
        await bench.live(LIVES[life].also)
        yield bench
