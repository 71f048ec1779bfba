"""A CE that is away, and one that takes our credential no more: what is told, and that no job is lost or runs twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from condor import Condor
from condor_house import CondorHouse, open_condor_house

from act_core.db import queries
from act_core.states import CeState, Request

pytestmark = pytest.mark.real

S = CeState
WATCH = ("submit", "sweep-status")


@pytest.fixture
async def house(condor: Condor, open_path: Path) -> AsyncIterator[CondorHouse]:
    async with open_condor_house(condor, open_path, {"grid": condor.grid()}) as opened:
        yield opened


async def trouble(house: CondorHouse) -> str:
    """What `act ces list` says of it."""
    row = await house.rt.read(queries.ce_row, "grid")
    assert row is not None
    return row.trouble or ""


async def at_the_ce(house: CondorHouse) -> str:
    """What our schedd knows of the CE's jobs."""
    return await asyncio.to_thread(
        house.pair.run, "submit", "condor_q", "-allusers", "-af", "JobStatus", "GridJobStatus"
    )


async def test_a_ce_that_is_away_loses_no_job_and_runs_none_twice(house: CondorHouse) -> None:
    go = house.root / "go"
    fills = house.spec("running", f"while [ ! -e {go} ]; do sleep 0.2; done", cores=house.pair.slots, priority=90)
    await house.add("grid", fills)
    await house.until(lambda rows: rows["running"].state == S.RUNNING, "running", stages=WATCH)
    await house.add("grid", house.spec("queued"))
    await house.until_so(lambda: at_the_ce(house), "2 RUNNING\n1 IDLE", stages=WATCH)
    with house.pair.without_doors("ce"):
        await house.until_so(lambda: trouble(house), "cannot be reached", stages=WATCH)
        await house.add("grid", house.spec("late"))
        for _ in range(3):
            rows = await house.until(lambda rows: True, "running", "queued", "late", stages=WATCH)
        assert {name: row.state for name, row in rows.items()} == {
            "running": S.RUNNING,
            "queued": S.SUBMITTED,
            "late": S.TOSUBMIT,
        }
        go.touch()
    await house.until(lambda rows: rows["late"].state == S.SUBMITTED, "late", stages=WATCH)
    assert not await trouble(house)
    await house.wish(Request.CANCEL, "late")
    rows = await house.to_the_end("running", "queued", "late")
    assert {name: row.state for name, row in rows.items()} == {
        "running": S.DONE,
        "queued": S.DONE,
        "late": S.CANCELLED,
    }
    assert house.executed() == {"running": 1, "queued": 1}
