"""A real A-REX moves a job's state from one of its directories to another, and a list that is made meanwhile errs."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from arex import Arex
from real_benches import leave_nothing

from act_core.ce.arc_rest import ArcCe
from act_core.ce.base import RemoteId, TowerId
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.jobspec import JobSpec
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.states import CeState

pytestmark = pytest.mark.real

TOWER, NUMBER, LAST_S = TowerId("tower001"), 40, 150.0
TRUE = JobSpec(executable="/bin/true")


def _now() -> datetime:
    return datetime.now(UTC)


async def test_no_job_is_lost_by_what_is_said_of_it_while_it_moves(arex: Arex, tmp_path: Path) -> None:
    arex.renew_proxies()
    voms = Voms(proxypath=arex.proxies["alice"], cacertdir=arex.ca_dir)
    settings = Settings(state_dir=tmp_path, arc=ArcSettings(voms=voms))
    ce = open_ce(settings, "real", _now, Site(endpoint=arex.url, two_phase=False, options={"grace": 0}))
    assert isinstance(ce, ArcCe)
    try:
        jobs = {
            RemoteId(str(job))
            for _ in range(NUMBER // 20)
            for job in (await ce.submit({new_key(TOWER): TRUE for _ in range(20)})).values()
        }
        assert len(jobs) == NUMBER
        over: set[RemoteId] = set()
        end = asyncio.get_running_loop().time() + LAST_S
        while over != jobs:
            assert asyncio.get_running_loop().time() < end, f"{len(over)} of {NUMBER} jobs ended"
            ended, states = await ce.ended(jobs), await ce.states(jobs)
            assert {one.state for one in ended.values()} <= {CeState.FINISHED}
            assert not {one.state for one in states.values()} & {CeState.LOST, CeState.FAILED}
            over |= set(ended)
    finally:
        await leave_nothing(ce, arex)
        await ce.close()
