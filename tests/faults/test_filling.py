"""What a CE gets, read from its own list: order and limit hold exactly, and foreign jobs cost next to nothing."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from act_core.db import wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.models import CeJob
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.stages import Tower, sweep
from act_core.states import Request

OVER = {"FINISHED", "FAILED", "KILLED", "WIPED"}


async def _add(rt: Runtime, share: str, n: int) -> None:
    """Jobs whose priorities go up and down."""
    jobs = [
        NewJob("manual", f"{share}{i}", JobSpec(executable="x", priority=1 + i * 37 % 100), frozenset({"ce"}), 3, share)
        for i in range(n)
    ]
    await rt.write(add_jobs, rt.tower, jobs, rt.now())


async def _ours(rt: Runtime) -> dict[str, CeJob]:
    return {row.submission_key: row for row in await rt.read(lambda s: list(s.scalars(select(CeJob))))}


def _expected(rows: dict[str, CeJob], most: int) -> list[str]:
    """The rule, written down anew: the share that has less, then the higher priority, then the older job."""
    lines = {
        share: sorted((r for r in rows.values() if r.share == share), key=lambda r: (-r.priority, r.id))
        for share in ("ana", "prod")
    }
    order: list[str] = []
    there: Counter[str] = Counter()
    while len(order) < most:
        share = min(lines, key=lambda one: (there[one], -lines[one][0].priority, lines[one][0].id))
        there[share] += 1
        order.append(lines[share].pop(0).submission_key)
    return order


async def test_two_shares_with_priorities_against_maxjobs(
    grid: Any, db_settings: Settings, eventually: Callable[..., Any]
) -> None:
    await grid.add("ce", run_s=(3600.0, 3600.0))
    async with Runtime.open(grid.settings(db_settings, db_settings.state_dir, maxjobs=100, batch=40)) as rt:
        tower = Tower(rt)
        for share in ("ana", "prod"):
            await _add(rt, share, 70)

        async def living() -> list[str]:
            jobs = (await grid.control("ce", "/jobs"))["jobs"]
            found = [job["name"] for job in jobs if job["state"] not in OVER and not job["removed"]]
            assert len(found) <= 100
            return found

        for most in (40, 80, 100, 100):
            await sweep(tower, "submit")
            rt.memory("ce").paused.clear()
            assert len(await living()) == most
        assert await living() == _expected(await _ours(rt), 100)
        await rt.write(wishes.wish, "manual", [f"prod{i}" for i in range(70)][:20], Request.CANCEL, rt.now())

        async def replaced() -> bool:
            for stage in ("submit", "sweep-status"):
                await sweep(tower, stage)
            rt.memory("ce").paused.clear()
            states = Counter(row.state for row in (await _ours(rt)).values())
            return states["cancelled"] == 20 and len(await living()) == 100

        await eventually(replaced, "others in the place of those that were killed")
        rows = await _ours(rt)
        assert Counter(rows[name].share for name in await living()) == {"ana": 50, "prod": 50}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it is the CE that is asked
@pytest.mark.faults
async def test_fifty_thousand_foreign_jobs_cost_one_list_a_pass(grid: Any, db_settings: Settings) -> None:
    simulator = await grid.add("ce", slots=0)
    await grid.control("ce", "/submit", {"owner": grid.pki.user("alice").dn, "name": "hers", "count": 50_000})
    async with Runtime.open(grid.settings(db_settings, db_settings.state_dir, deadline="60 s")) as rt:
        tower = Tower(rt)
        await _add(rt, "ana", 3)
        await sweep(tower, "submit")
        asked: dict[str, dict[str, int]] = {}
        for stage in ("reconcile-ces", "reconcile-ces", "sweep-status"):
            async with aiohttp.ClientSession() as session, session.delete(f"{simulator.control_url}/stats") as answer:
                assert answer.status < 300
            await sweep(tower, stage)
            told = (await grid.control("ce", "/stats"))["requests"]
            asked[stage] = {name.rpartition("/")[2]: sum(answers.values()) for name, answers in told.items()}
    assert asked["reconcile-ces"] == {"jobs": 1, "info": 1}  # the second one is about the CE itself
    assert asked["sweep-status"] == {"jobs": 1, "jobs?action=status": 1}  # and no more of ours
