"""Stage-in that fails on the CE, through the whole engine: restarted as often as allowed, then as the rules say."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.db import listing
from act_core.db.arrivals import NewJob, add_jobs
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Errors
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep

STAGES = ("submit", "sweep-status", "fetch-validate", "clean")


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


class Hasty(Runtime):
    """A runtime for which time passes faster."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Lives:
    """A tower over one CE whose stage-in fails until it is told not to."""

    def __init__(self, rt: Hasty, grid: Any) -> None:
        self.rt, self.grid, self.tower = rt, grid, Tower(rt)

    async def add(self, reruns: int, attempts: int) -> None:
        job = NewJob("manual", "j", JobSpec(executable="/bin/true", reruns=reruns), frozenset({"ce"}), attempts)
        await self.rt.write(add_jobs, self.rt.tower, [job], self.rt.now())

    async def attempts(self) -> list[Any]:
        found = await self.rt.read(listing.jobs, listing.Filter(newest=False), 100)
        return sorted(found, key=lambda row: row.attempt)

    async def until(self, eventually: Callable[..., Any], done: Callable[[list[Any]], bool]) -> list[Any]:
        async def over() -> list[Any] | None:
            for stage in STAGES:
                await sweep(self.tower, stage)
            self.rt.ahead += timedelta(seconds=5)
            rows = await self.attempts()
            return rows if done(rows) else None

        found: list[Any] = await eventually(over, "the end of the story")
        return found


@pytest.fixture
async def lives(grid: Any, db_settings: Settings, tmp_path: Path) -> Any:
    await grid.add("ce", fail_stagein=1.0)
    settings = grid.settings(db_settings, tmp_path / "state")
    rule = {"pattern": "Data download failed", "action": "rerun", "name": "again"}
    arc = settings.arc.model_copy(update={"errors": Errors.model_validate({"rules": [rule]})})
    async with Hasty.open(settings.model_copy(update={"arc": arc})) as rt:
        yield Lives(rt, grid)


async def test_it_is_restarted_and_runs_once(lives: Lives, eventually: Callable[..., Any]) -> None:
    await lives.add(reruns=5, attempts=0)
    (row,) = await lives.until(eventually, lambda rows: rows[0].reruns >= 1)
    await lives.grid.control("ce", "/pace", {"fail_stagein": 0})
    (row,) = await lives.until(eventually, lambda rows: rows[0].state == "done")
    assert 1 <= row.reruns <= 5
    assert row.error is None
    assert list(count(lives.grid.witness).values()) == [1]


async def test_when_the_allowance_is_used_up_its_application_hears_of_it(
    lives: Lives, eventually: Callable[..., Any]
) -> None:
    await lives.add(reruns=1, attempts=3)
    (row,) = await lives.until(eventually, lambda rows: rows[-1].state == "donefailed")
    assert (row.reruns, row.error) == (1, "Data download failed")
    assert count(lives.grid.witness) == {}
