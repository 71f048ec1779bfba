"""Jobs that a Harvester took and handed over: they run at a CE, and PanDA hears nothing of them from the tower."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from act_core.atlas.harvester import HarvesterDoor, WorkSpec
from act_core.atlas.instance import panda
from act_core.atlas.wire import PandaJob
from act_core.settings.model import Settings
from act_core.simulators.pki import TestPki
from act_core.simulators.witness import count
from tests.atlas.house import CE, QUEUE, House, open_house

ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
HARVESTER = "CERN_central"


async def harvested(house: House, tmp_path: Path) -> list[WorkSpec]:
    """The Harvester takes PanDA's jobs, each with a worker and an access point of its own."""
    taken = await panda(house.rt).acquire_jobs(QUEUE, 10, "unified")
    specs = []
    for number, job in enumerate(taken, 1):
        assert isinstance(job, PandaJob)
        place = tmp_path / "access" / str(number)
        place.mkdir(parents=True)
        specs.append(
            WorkSpec(harvester_id=HARVESTER, worker_id=number, queue=QUEUE, job=dict(job.raw), access_point=str(place))
        )
    return specs


async def test_they_run_once_and_only_their_harvester_speaks_of_them(
    db_settings: Settings,
    tmp_path: Path,
    eventually: Callable[..., Awaitable[Any]],
    end_all: Callable[..., Awaitable[None]],
) -> None:
    async with open_house(db_settings, TestPki(tmp_path / "pki"), tmp_path) as house:
        house.configure(cric={"handedby": (HARVESTER,)})
        house.lay_out_pilot()
        await house.serve(fields={"pilot_manager": "Harvester", "harvester": HARVESTER})
        good, bad = *house.order(inputs=1, run_s=0), *house.order(fail=3, run_s=0)
        (killed,) = house.order(run_s=300)
        assert await house.run("fetch-jobs") == {}
        specs = await harvested(house, tmp_path)
        with HarvesterDoor(house.rt.settings) as door:
            answers = door.submit(specs)
            ids = {_number(spec): answer.id for spec, answer in zip(specs, answers, strict=True) if answer.id}
            assert sorted(ids) == [good, bad, killed]
            assert {state.status for state in door.status(ids.values()).values()} == {"submitted"}

            async def over() -> bool:
                await house.run(*ROUND)
                if count(house.witness).get(str(killed)):
                    door.kill([ids[killed]])
                house.later(seconds=1)
                states = door.status(ids.values())
                return all(one.status in ("finished", "failed", "cancelled") for one in states.values())

            try:
                await eventually(over, "all workers are over")
            finally:
                await end_all(await house.rt.ce(CE), db_settings.state_dir / "local" / CE)
            found = door.status(ids.values())
            assert {n: found[ids[n]].status for n in ids} == {good: "finished", bad: "failed", killed: "cancelled"}
            home = door.logs([ids[good]])[ids[good]]
        assert (found[ids[good]].ce, found[ids[good]].harvester_id) == (CE, HARVESTER)
        assert {"heartbeat.json", "gmlog/errors"} <= set(home.files)
        assert count(house.witness) == {str(number): 1 for number in ids}
        assert [job.number for job in house.books.jobs.values() if job.updates or job.status != "sent"] == []
        the_reports_are_handed_back(specs, good, bad, killed)


def the_reports_are_handed_back(specs: list[WorkSpec], good: int, bad: int, killed: int) -> None:
    reports = {_number(spec): json.loads(_report(spec).read_text()) for spec in specs}
    assert {n: (report["jobId"], report["state"]) for n, report in reports.items()} == {
        good: (str(good), "finished"),
        bad: (str(bad), "failed"),
        killed: (str(killed), "failed"),
    }
    assert "xml" in reports[good]
    assert reports[bad]["exeErrorCode"] == "3"
    assert reports[killed]["pilotErrorCode"] == "1144"


def _number(spec: WorkSpec) -> int:
    assert not isinstance(spec.job, str)
    return int(spec.job["PandaID"])


def _report(spec: WorkSpec) -> Path:
    assert spec.access_point is not None
    return Path(spec.access_point) / "jobReport.json"
