"""Real processes that are killed, ended or stopped at some write: the next one finishes the jobs, none runs twice."""

import asyncio
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.db import listing
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.simulators.witness import count

pytestmark = pytest.mark.faults

JOBS = 6
LEASES_OVER = 50.0  # seconds by which the clock of whoever comes next is ahead
DICE = random.Random(20)  # the same moments in each run
MOMENTS = [
    *(("SIGKILL", moment) for moment in sorted(DICE.sample(range(2, 26), 5))),
    *(("SIGTERM", moment) for moment in sorted(DICE.sample(range(2, 26), 2))),
]


class Sweepers:
    """Towers as processes over one set of tables."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self.settings, self.file = settings, file
        file.write_text(settings.model_dump_json())

    async def start(self, ahead: float, *at: str) -> asyncio.subprocess.Process:
        script = Path(__file__).with_name("sweeper.py")
        words = [str(script), str(self.file), str(ahead), *at]
        return await asyncio.create_subprocess_exec(sys.executable, *words)

    async def ended(self, process: asyncio.subprocess.Process) -> int:
        return await asyncio.wait_for(process.wait(), 120)


@pytest.fixture
def database() -> str:
    """What MariaDB does when its client dies is told in test_kill_before_write.py."""
    return "sqlite"


@pytest.fixture
async def sweepers(grid: Any, db_settings: Settings, tmp_path: Path, add: Callable[..., Awaitable[Any]]) -> Sweepers:
    """Jobs wait for a CE, and nobody works yet."""
    await grid.add("ce")
    settings = grid.settings(db_settings, tmp_path / "tower", deadline="20 s")
    jobs = settings.arc.jobs.model_copy(update={"senddeadline": timedelta(seconds=20)})
    settings = settings.model_copy(update={"arc": settings.arc.model_copy(update={"jobs": jobs})})
    async with Runtime.open(settings) as rt:
        await add(rt, JOBS, "ce")
    return Sweepers(settings, tmp_path / "settings.json")


async def judge(grid: Any, sweepers: Sweepers) -> None:
    """Every job done, run once, and nothing left on the CE."""
    async with Runtime.open(sweepers.settings) as rt:
        rows = await rt.read(listing.jobs, listing.Filter(), 100)
    assert [row.state for row in rows] == ["done"] * JOBS
    assert sorted(count(grid.witness).values()) == [1] * JOBS
    assert (await grid.control("ce", "/jobs/summary"))["present"] == 0


@pytest.mark.parametrize(("name", "moment"), MOMENTS)
async def test_the_next_process_finishes(name: str, moment: int, grid: Any, sweepers: Sweepers) -> None:
    first = await sweepers.start(0, name, str(moment))
    assert await sweepers.ended(first) == -signal.Signals[name]
    assert await sweepers.ended(await sweepers.start(LEASES_OVER)) == 0
    await judge(grid, sweepers)


@pytest.mark.parametrize("moment", [5, 11, 17])
async def test_one_that_sleeps_through_its_lease_disturbs_nobody(
    moment: int, grid: Any, sweepers: Sweepers, eventually: Callable[..., Any]
) -> None:
    asleep = await sweepers.start(0, "SIGSTOP", str(moment))

    async def stopped() -> bool:
        status = await asyncio.to_thread(Path(f"/proc/{asleep.pid}/stat").read_text)
        return status.rpartition(")")[2].split()[0] == "T"

    try:
        await eventually(stopped, "the sleep", 60)
        assert await sweepers.ended(await sweepers.start(LEASES_OVER)) == 0
    finally:
        asleep.send_signal(signal.SIGCONT)
    assert await sweepers.ended(asleep) == 0
    await judge(grid, sweepers)


async def test_two_at_once_share_the_work(grid: Any, sweepers: Sweepers) -> None:
    both = [await sweepers.start(0), await sweepers.start(0)]
    assert [await sweepers.ended(one) for one in both] == [0, 0]
    await judge(grid, sweepers)
