"""One CE hangs every call: the others go on as if it were not there, and it is shown to rest, with the reason."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from act_core.cli import ces as ces_command
from act_core.db import listing
from act_core.db.session import Database
from act_core.errors import Transient
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep

pytestmark = pytest.mark.faults

STAGES = ("submit", "sweep-status", "fetch-validate", "clean")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it is the CE that hangs
async def test_the_others_do_not_notice(
    grid: Any, db_settings: Settings, tmp_path: Path, add: Callable[..., Awaitable[Any]], eventually: Callable[..., Any]
) -> None:
    for name in ("good", "hung"):
        await grid.add(name)
    await grid.control("hung", "/faults", {"kind": "hang"})
    settings = grid.settings(db_settings, tmp_path / "state", deadline="20 s")
    async with Runtime.open(settings) as rt:
        tower = Tower(rt)
        await add(rt, 6, "good")
        spare = await add_named(rt, "stuck", "hung")
        submit = next(part for part in tower.parts("submit") if part.verb == "submit")
        hanging = asyncio.create_task(tower.round(submit, "hung"))

        async def good_is_done() -> bool:
            for stage in STAGES:
                await sweep(tower, stage, ["good"])
            wanted = listing.Filter(ces=("good",))
            states = [row.state for row in await rt.read(listing.jobs, wanted, 100)]
            assert not hanging.done(), "the good CE waited for the hung one"
            return states == ["done"] * 6

        await eventually(good_is_done, "the end of the good CE's jobs while the other hangs")
        with pytest.raises(Transient, match="no answer in time"):
            await hanging
        assert "hung" not in [key for _, key in await tower.due("submit")]
        row = next(row for row in await rt.read(listing.jobs, listing.Filter(ids=(spare,)), 1))
        assert row.state == "tosubmit", "the CE provably never got the call"
    database = Database(settings)
    shown = {ce["name"]: ce for ce in ces_command.all_described(database, settings)}
    database.close()
    assert json.dumps(shown)
    assert shown["good"]["health"] == "well"
    assert shown["hung"]["health"] == "resting"
    assert "no answer in time" in shown["hung"]["trouble"]


async def add_named(rt: Runtime, name: str, ce: str) -> str:
    from act_core.db.arrivals import NewJob, add_jobs
    from act_core.jobspec import JobSpec

    job = NewJob("manual", name, JobSpec(executable="/bin/true"), frozenset({ce}), attempts_left=5)
    await rt.write(add_jobs, rt.tower, [job], rt.now())
    return name
