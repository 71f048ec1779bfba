"""The database is dropped with jobs in flight at several CEs: all of them finish, none runs twice, nothing is left."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import delete, select

from act_core.db import ces, recovery, wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.models import Base, CeJob
from act_core.engine.submit import submit
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep
from act_core.states import Request
from tests.fixtures.databases import KEPT_TABLES

OVER = {"done", "donefailed", "cancelled", "lost"}
SPEC = JobSpec(executable="/bin/true", stdout=None, stderr=None)  # they leave nothing: that costs requests


async def lose(rt: Runtime) -> None:
    """Nothing is left in the tables but whose they are; `act up` has noticed."""

    def dropped(session: Any) -> None:
        for one in reversed(Base.metadata.sorted_tables):
            if one.name not in KEPT_TABLES:
                session.execute(delete(one))

    await rt.write(dropped)
    await rt.write(ces.enter_ces, rt.settings.arc.sites, ces.CONFIG, rt.now())
    assert await rt.write(recovery.begin, recovery.NEW, recovery.TOWER, rt.now())


async def rows_of(rt: Runtime) -> list[CeJob]:
    return await rt.read(lambda session: list(session.scalars(select(CeJob))))


class Fleet:
    """CEs by what becomes of their jobs before the database goes."""

    def __init__(self, grid: Any, base: Settings, state_dir: Path) -> None:
        self.grid, self._base, self._dir = grid, base, state_dir

    async def build(self) -> Settings:
        long = {"slots": 0}  # until the slots are given back
        for name, pace in (("ended", {}), ("queued", long), ("failed", {"fail_run": 1.0}), ("waiting", long)):
            await self.grid.add(name, **pace)
        made: Settings = self.grid.settings(self._base, self._dir, deadline="30 s")
        jobs = made.arc.jobs.model_copy(update={"queueoffset": 10_000})  # all of them may be queued at once
        return made.model_copy(update={"arc": made.arc.model_copy(update={"jobs": jobs})})

    async def in_flight(self, rt: Runtime, n: int) -> None:
        """`n` jobs at each CE; those that wait do so for their commit."""
        tower = Tower(rt)
        names = sorted(self.grid.ces)
        for name in names:
            jobs = [NewJob("manual", f"{name}{i}", SPEC, frozenset({name}), 5) for i in range(n)]
            await rt.write(add_jobs, rt.tower, jobs, rt.now())
        while any(row.state == "tosubmit" for row in await rows_of(rt)):
            await submit(rt, "waiting")
            await sweep(tower, "submit", [name for name in names if name != "waiting"])
        while any(row.inputs_sent_at is None for row in await rows_of(rt) if row.ce != "waiting"):
            await sweep(tower, "submit", [name for name in names if name != "waiting"])

    async def slots(self) -> None:
        for name in ("queued", "waiting"):
            await self.grid.control(name, "/pace", {"slots": 10_000})

    async def mended(self, name: str) -> None:
        """Its faults are over."""
        url = f"{self.grid.ces[name].control_url}/faults"
        async with aiohttp.ClientSession() as session, session.delete(url) as answer:
            assert answer.status < 300

    async def left(self) -> int:
        """Jobs that the CEs still have."""
        lists = [(await self.grid.control(name, "/jobs"))["jobs"] for name in self.grid.ces]
        return sum(not job["removed"] for jobs in lists for job in jobs)


@pytest.fixture
async def fleet(grid: Any, db_settings: Settings, tmp_path: Path) -> Fleet:
    return Fleet(grid, db_settings, tmp_path / "tower")


async def pass_of(tower: Tower) -> None:
    for stage in ("sweep-status", "submit", "fetch-validate", "clean"):
        await sweep(tower, stage)


async def through(fleet: Fleet, n: int, eventually: Callable[..., Any]) -> None:
    settings = await fleet.build()
    async with Runtime.open(settings) as rt:
        await fleet.in_flight(rt, n)
        tower_id = rt.tower
        before = {row.submission_key: (row.app_job_id, row.remote_id) for row in await rows_of(rt)}
        await lose(rt)
    async with Runtime.open(settings) as rt:
        assert rt.tower == tower_id
        tower = Tower(rt)
        await sweep(tower, "sweep-status")
        await fleet.slots()

        async def all_over() -> bool:
            await pass_of(tower)
            rows = await rows_of(rt)
            return len(rows) == 4 * n and all(row.state in OVER for row in rows)

        await eventually(all_over, "every job has its end", 60)
        assert await rt.read(recovery.under_way) is None
        rows = await rows_of(rt)
        assert {row.submission_key: (row.app_job_id, row.remote_id) for row in rows} == before
        ends = Counter((row.ce, row.state) for row in rows)
        assert ends == {
            ("ended", "done"): n,
            ("queued", "done"): n,
            ("waiting", "done"): n,
            ("failed", "donefailed"): n,
        }
        ran = count(fleet.grid.witness)
        assert (len(ran), set(ran.values())) == (4 * n, {1}), "each of them ran, and none twice"
        await rt.write(wishes.wish, "manual", [row.app_job_id for row in rows], Request.CLEAN, rt.now())

        async def nothing_left() -> bool:
            await pass_of(tower)
            return await fleet.left() == 0

        await eventually(nothing_left, "nothing of ours is on the CEs", 60)


async def test_a_dropped_database_loses_no_job(fleet: Fleet, eventually: Callable[..., Any]) -> None:
    await through(fleet, 3, eventually)


@pytest.mark.faults
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_dropped_database_loses_none_of_2000_jobs(fleet: Fleet, eventually: Callable[..., Any]) -> None:
    await through(fleet, 500, eventually)


@pytest.mark.parametrize("goes_on_without", [False, True], ids=["it comes back", "an operator goes on without it"])
async def test_a_ce_that_is_away_holds_up_what_may_be_there(
    fleet: Fleet, eventually: Callable[..., Any], goes_on_without: bool
) -> None:
    """Jobs that have ended, and commits: a later attempt of the same job may run where nobody has looked."""
    settings = await fleet.build()
    async with Runtime.open(settings) as rt:
        await fleet.in_flight(rt, 2)
        await lose(rt)
    await fleet.grid.control("queued", "/faults", {"kind": "error"})
    async with Runtime.open(settings) as rt:
        tower = Tower(rt)
        for _ in range(3):
            await pass_of(tower)
        stand = await rt.read(recovery.under_way)
        assert stand is not None
        assert (set(stand.unread), stand.looked) == ({"queued"}, True)
        assert {one.ce: (one.rebuilt, one.later) for one in stand.ces if one.ce != "queued"} == {
            "ended": (0, 2),
            "failed": (0, 2),
            "waiting": (2, 0),
        }
        assert {row.inputs_sent_at for row in await rows_of(rt)} == {None}, "no commit as long as one CE is unread"
        new = [NewJob("manual", f"new-{name}", SPEC, frozenset({name}), 5) for name in ("ended", "queued")]
        await rt.write(add_jobs, rt.tower, new, rt.now())
        await pass_of(tower)
        placed = {row.app_job_id: row.ce for row in await rows_of(rt) if row.app_job_id.startswith("new")}
        assert placed == {"new-ended": "ended", "new-queued": None}, "what was read gets new jobs"
        if goes_on_without:
            await rt.write(recovery.go_on_without, ["queued"], rt.now())
        else:
            await fleet.mended("queued")
            await rt.write(ces.went_well, "queued", rt.now())
        await to_its_end(fleet, tower, eventually)
        waited = {row.submission_key for row in await rows_of(rt) if row.ce == "waiting"}
        assert len(waited) == 2
        assert bool(waited & count(fleet.grid.witness).keys()) is not goes_on_without, "no commit where it may be twice"


async def to_its_end(fleet: Fleet, tower: Tower, eventually: Callable[..., Any]) -> None:
    """The recovery is over, and what got its commit has run."""
    await fleet.slots()

    async def over() -> bool:
        await pass_of(tower)
        return await tower.rt.read(recovery.under_way) is None

    await eventually(over, "the end of the recovery")

    async def nobody_waits() -> bool:
        await pass_of(tower)
        return all(row.inputs_sent_at for row in await rows_of(tower.rt) if row.ce)

    await eventually(nobody_waits, "the commits")
    await pass_of(tower)
