"""A CE that forgets all its jobs, and an identity that is suddenly another account: nothing is lost or killed."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.cli.brake import described, sentence
from act_core.db import brakes, evidence, ledger, listing
from act_core.db.arrivals import NewJob, add_jobs
from act_core.jobspec import JobSpec
from act_core.reasons import Reason
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep

pytestmark = pytest.mark.faults

JOBS = 110  # above the floor of 50 and 5 % of them
ROUND = timedelta(minutes=10)
one_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Ahead(Runtime):
    """A runtime whose clock can be put forward."""

    ahead = timedelta(0)

    def now(self) -> Any:
        return super().now() + self.ahead


class Watched:
    """A tower, and a CE on which its jobs run for an hour."""

    def __init__(self, grid: Any, rt: Ahead) -> None:
        self.grid, self.rt, self.tower = grid, rt, Tower(rt)

    async def states(self) -> Counter[str]:
        found = await self.rt.read(listing.jobs, listing.Filter(newest=False), 10 * JOBS)
        return Counter(row.state for row in found)

    async def later(self, times: int = 1, *stages: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for _ in range(times):
            self.rt.ahead += ROUND
            for stage in stages or ("submit", "sweep-status", "fetch-validate", "clean", "reconcile-ces"):
                total += await sweep(self.tower, stage)
        return total

    async def forgotten(self, how: str) -> None:
        """The CE knows none of our jobs from now on."""
        who = {"owner": self.grid.pki.user("alice").dn, "account": "somebody"}
        path, body = ("/amnesia", {"for_now": True}) if how == "amnesia" else ("/mapping", who)
        await self.grid.control("ce", path, body)

    async def known_again(self, how: str) -> None:
        who = {"owner": self.grid.pki.user("alice").dn}
        path, body = ("/memory", {}) if how == "amnesia" else ("/mapping", who)
        await self.grid.control("ce", path, body)

    async def killed(self) -> int:
        return int((await self.grid.control("ce", "/jobs/summary"))["by_state"].get("KILLED", 0))

    async def holding(self) -> list[Any]:
        return await self.rt.read(brakes.on)


@pytest.fixture
async def watched(
    grid: Any, db_settings: Settings, tmp_path: Path, add: Callable[..., Awaitable[Any]], eventually: Callable[..., Any]
) -> Any:
    await grid.add("ce", run_s=(3600.0, 3600.0), slots=JOBS)
    settings = grid.settings(db_settings, tmp_path / "tower", patience="1 h")
    async with Ahead.open(settings) as rt:
        made = Watched(grid, rt)
        await add(rt, JOBS, "ce")

        async def running() -> bool:
            for stage in ("submit", "sweep-status"):
                await sweep(made.tower, stage)
            return await made.states() == {"running": JOBS}

        await eventually(running, "all jobs run")
        yield made


@pytest.mark.parametrize(
    ("database", "how"),
    [("sqlite", "amnesia"), ("mysql", "amnesia"), ("sqlite", "another account")],
    indirect=["database"],
)
async def test_nothing_is_lost_or_killed_and_all_goes_on(watched: Watched, how: str) -> None:
    await watched.forgotten(how)
    counts = await watched.later(9)
    assert counts["braked"] >= JOBS
    assert await watched.states() == {"running": JOBS}
    assert await watched.killed() == 0
    (brake,) = await watched.holding()
    assert (brake.scope, brake.kind, brake.n, brake.living) == ("ce:ce", "lose", JOBS, JOBS)
    assert "would take 110 of 110 jobs of ce for lost" in sentence(described(brake))
    told = [row.code for row in await watched.rt.read(ledger.standing, ces=["ce"])]
    assert Reason.BRAKE_LOSE.value in told

    await watched.known_again(how)
    await watched.later()
    assert await watched.holding() == []
    assert Reason.BRAKE_LOSE.value not in [row.code for row in await watched.rt.read(ledger.standing, ces=["ce"])]
    await watched.later(8)
    assert await watched.states() == {"running": JOBS}
    assert await watched.killed() == 0
    assert await watched.holding() == []


@one_database
async def test_an_operators_release_lets_them_go(watched: Watched) -> None:
    await watched.grid.control("ce", "/amnesia", {})
    await watched.later(9, "sweep-status")
    (brake,) = await watched.holding()
    moving = await watched.rt.read(evidence.would_move, brake)
    assert (moving.n, len(moving.examples)) == (JOBS, 5)
    now = watched.rt.now()
    assert await watched.rt.write(brakes.release, brake.id, "operator", now + 3 * ROUND, now, "the disk died", moving.n)
    await watched.later(1, "sweep-status")
    assert await watched.states() == {"lost": JOBS}
    (row,) = await watched.rt.read(brakes.recently, 5)
    assert (row.passed, row.released_by) == (JOBS, "operator")


@one_database
async def test_new_jobs_of_another_account_are_no_witness(watched: Watched, eventually: Callable[..., Any]) -> None:
    await watched.forgotten("another account")
    await watched.later(8)
    await watched.grid.control("ce", "/pace", {"slots": 2 * JOBS})
    spec = JobSpec(executable="/bin/true")
    new = [NewJob("manual", f"new{n}", spec, frozenset({"ce"}), attempts_left=5) for n in range(3)]
    await watched.rt.write(add_jobs, watched.rt.tower, new, watched.rt.now())

    async def there() -> bool:
        await sweep(watched.tower, "submit")
        await sweep(watched.tower, "sweep-status")
        rows = await watched.rt.read(listing.jobs, listing.Filter(ids=("new0", "new1", "new2")), 10)
        return [row.state for row in rows] == ["running"] * 3

    await eventually(there, "new jobs run under the new account")
    await watched.later(12)
    assert await watched.states() == {"running": JOBS + 3}
    assert [row.kind for row in await watched.holding()] == ["lose"]


@one_database
async def test_older_jobs_that_are_still_listed_confirm_that_the_others_are_gone(
    watched: Watched,
) -> None:
    jobs = (await watched.grid.control("ce", "/jobs"))["jobs"]
    await watched.later()  # so that all send deadlines lie before the loss
    await watched.grid.control("ce", "/amnesia", {"ids": [job["id"] for job in jobs[:60]]})
    counts = await watched.later(11)
    assert counts["braked"] >= 60
    assert await watched.states() == {"running": JOBS - 60, "lost": 60}
    (row,) = await watched.rt.read(brakes.recently, 5)
    assert row.released_by == "the CE's list"
