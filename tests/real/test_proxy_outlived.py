"""A job on a real A-REX that outlives its first proxy: the forecast names it, and its outputs arrive all the same."""

from datetime import timedelta
from pathlib import Path

import pytest
from arex import Arex
from house import CE, House, open_house

from act_core.db import ledger
from act_core.engine.forecast import Ends, forecast
from act_core.jobspec import OutputFile
from act_core.simulators.pki import TestPki
from act_core.stages import sweep
from act_core.states import CeState

pytestmark = pytest.mark.real

FIRST = timedelta(seconds=45)  # the life of the proxy that the job is submitted with
RUNS_S = 60
NAME = "outlives"


async def test_its_native_stage_out_succeeds(arex: Arex, tmp_path: Path) -> None:
    pki, proxy = TestPki(arex.home / "pki"), tmp_path / "proxy.pem"
    async with open_house(arex, tmp_path / "state", proxy=str(proxy)) as house:
        _patient(house)
        pki.proxy("alice", FIRST, path=proxy)
        first_end = house.rt.now() + FIRST
        target = OutputFile(name="out.txt", target=f"{house.storage}/out/{NAME}.txt")
        script = f"sleep {RUNS_S}; echo it is over > out.txt"
        await house.add(CE, house.spec(NAME, script, outputs=(target,), walltime=timedelta(seconds=20)))
        await house.until(lambda rows: rows[NAME].state == CeState.RUNNING, NAME, stages=("submit", "sweep-status"))

        await sweep(house.tower, "renew-credentials")
        (named,) = await forecast(house.rt)
        assert (named.ce, named.ends, named.jobs) == ("real", Ends.DELEGATION, 1)
        assert named.until < first_end + timedelta(seconds=5)
        assert {row.code for row in await house.rt.read(ledger.standing, ces=["real"])} >= {"credential-ends"}

        pki.proxy("alice", timedelta(hours=72), path=proxy)
        await sweep(house.tower, "renew-credentials")
        assert Ends.DELEGATION not in {one.ends for one in await forecast(house.rt)}

        row = (await house.to_the_end(NAME))[NAME]
        assert (row.state, row.error) == (CeState.DONE, None)
        assert row.ended_at is not None
        assert row.ended_at > first_end
        assert house.files.get(f"/out/{NAME}.txt") == b"it is over\n"


def _patient(house: House) -> None:
    """So short a proxy would do for a queue of seconds only."""
    arc = house.rt.settings.arc
    jobs = arc.jobs.model_copy(update={"queuetime": timedelta(seconds=1)})
    voms = arc.voms.model_copy(update={"margin": timedelta(0)})
    changed = arc.model_copy(update={"jobs": jobs, "voms": voms})
    house.rt.settings = house.rt.settings.model_copy(update={"arc": changed})
