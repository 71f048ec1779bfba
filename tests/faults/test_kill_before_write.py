"""SIGKILL between the CE's acceptance and the database write: adopted, never repeated, run once."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from act_core.db import leases, listing
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep

pytestmark = pytest.mark.faults
STAGES = ("submit", "sweep-status", "fetch-validate", "clean")


async def test_jobs_are_adopted(
    grid: Any, db_settings: Settings, tmp_path: Path, add: Callable[..., Awaitable[Any]], eventually: Callable[..., Any]
) -> None:
    await grid.add("ce")
    settings = grid.settings(db_settings, tmp_path / "state")
    assert settings.arc.db.password == SecretStr("")  # it goes through a file
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    async with Runtime.open(settings) as rt:
        await add(rt, 8, "ce")
    script = Path(__file__).with_name("kill_before_write.py")
    child = await asyncio.create_subprocess_exec(sys.executable, str(script), str(tmp_path / "settings.json"))
    assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
    assert (await grid.control("ce", "/jobs/summary"))["present"] == 8
    assert not count(grid.witness), "a job that the tower does not know of has run"
    async with Runtime.open(settings) as rt:
        states = {row.state for row in await rt.read(listing.jobs, listing.Filter(), 100)}
        assert states == {"submitting"}
        await rt.write(leases.end_dead, rt.now())
        tower = Tower(rt)

        async def over() -> bool:
            for stage in STAGES:
                await sweep(tower, stage)
            return not await rt.read(listing.unsettled)

        await eventually(over, "the end of the adopted jobs")
        rows = await rt.read(listing.jobs, listing.Filter(newest=False), 100)
        events = await rt.read(listing.events, [row.id for row in rows])
    assert [(row.state, row.attempt) for row in rows] == [("done", 1)] * 8
    assert sum("adopted" in event.reason for event in events) == 8
    assert sorted(count(grid.witness).values()) == [1] * 8
    assert (await grid.control("ce", "/jobs/summary"))["present"] == 0
