"""Two towers and a person share one identity and one CE: nobody touches what is not its own."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from act_core.db import listing
from act_core.db.bootstrap import bootstrap
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.model import Db, Settings
from act_core.simulators.witness import count
from act_core.stages import Tower, sweep

STAGES = ("submit", "sweep-status", "fetch-validate", "clean", "reconcile-ces")


async def test_foreign_jobs_are_left_alone(
    grid: Any, db_settings: Settings, tmp_path: Path, add: Callable[..., Awaitable[Any]], eventually: Callable[..., Any]
) -> None:
    await grid.add("ce")
    hers = await grid.control("ce", "/submit", {"owner": grid.pki.user("alice").dn, "name": "by hand", "count": 3})
    other = grid.settings(Settings(state_dir=tmp_path), tmp_path / "other")
    other = other.model_copy(update={"arc": other.arc.model_copy(update={"db": Db()})})
    database = Database(other)
    bootstrap(database, database.clock())
    database.close()
    async with (
        Runtime.open(grid.settings(db_settings, tmp_path / "one")) as one,
        Runtime.open(other) as two,
    ):
        assert one.tower != two.tower
        towers = [Tower(one), Tower(two)]
        for rt in (one, two):
            await add(rt, 5, "ce")

        async def over() -> bool:
            for tower in towers:
                for stage in STAGES:
                    counts = await sweep(tower, stage)
                    assert not counts["orphans"]
                    assert not counts["unknown keys"]
            return not any([await rt.read(listing.unsettled) for rt in (one, two)])

        await eventually(over, "the end of both towers' jobs")
        done = [row.state for rt in (one, two) for row in await rt.read(listing.jobs, listing.Filter(), 100)]
    assert done == ["done"] * 10
    books = {job["id"]: job for job in (await grid.control("ce", "/jobs"))["jobs"]}
    assert all(not books[job]["removed"] for job in hers["ids"])
    assert [job["removed"] for job_id, job in books.items() if job_id not in hers["ids"]] == [True] * 10
    ours = {job["name"] for job_id, job in books.items() if job_id not in hers["ids"]}
    executions = count(grid.witness)
    assert {executions[name] for name in ours} == {1}
