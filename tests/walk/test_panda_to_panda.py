"""A whole life in one process, from PanDA to PanDA: real servers, real processes as jobs, both databases."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, CeJobArchive
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.settings.model import Settings
from act_core.simulators import pilot
from act_core.simulators.panda_jobs import expected_outputs
from act_core.simulators.panda_methods import Generation
from act_core.simulators.pki import TestPki
from act_core.simulators.witness import count
from tests.atlas.house import CE, House, open_house

ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
TABLES = (PandaRow, PandaArchive, CeJob, CeJobArchive)
KILLED = 1144  # PanDA's pilot error code


def ordered(house: House) -> dict[str, list[int]]:
    """One of each kind, three that go well."""
    return {
        "good": house.order(2, inputs=1, run_s=0) + house.order(cores=2, outputs=2, run_s=0),
        "bad": house.order(fail=3, run_s=0),
        "silent": house.order(silent=True, run_s=0),
        "killed": house.order(run_s=300),
        "impossible": house.order(inputs=1, extra={"inFiles": "pandaJobData.out"}),
    }


async def in_tables(house: House) -> dict[str, int]:
    """Rows by table."""

    def read(session: Session) -> dict[str, int]:
        return {one.__tablename__: session.execute(select(func.count(one.id))).scalar_one() for one in TABLES}

    return await house.rt.read(read)


def kill_once_it_runs(house: House, number: int) -> None:
    """PanDA wants a job dead whose payload has begun; it says so when it hears of it again."""
    job = house.book(number)
    if job.status == "running" and job.command is None and count(house.witness).get(str(number)):
        house.books.kill([number], None, house.clock.now())
        house.later(minutes=31)


def every_job_ended_as_it_should(house: House, jobs: dict[str, list[int]]) -> None:
    """By PanDA's books: the right end, for the right reason, told once."""
    wanted = {"good": "finished", "bad": "failed", "silent": "failed", "killed": "cancelled", "impossible": "failed"}
    books = {kind: [house.book(number) for number in numbers] for kind, numbers in jobs.items()}
    assert {kind: {job.status for job in found} for kind, found in books.items()} == {k: {v} for k, v in wanted.items()}
    every = [job for found in books.values() for job in found]
    assert {(job.acquisitions, job.finals) for job in every} == {(1, 1)}
    assert not [update.refused for job in every for update in job.updates if update.refused]
    assert not house.books.unknown
    (bad,), (silent,), (killed,), (impossible,) = (books[kind] for kind in ("bad", "silent", "killed", "impossible"))
    assert (bad.columns["pilotErrorCode"], bad.columns["exeErrorCode"]) == (pilot.PAYLOAD_FAILED, 3)
    assert "exit code" in str(silent.columns["pilotErrorDiag"])
    assert (killed.columns["pilotErrorCode"], killed.columns["computingElement"]) == (KILLED, CE)
    assert not [told.refused for told in house.workers.told if told.refused]
    assert "named twice" in str(impossible.columns["pilotErrorDiag"])


def every_output_is_on_storage(house: House, numbers: list[int]) -> None:
    stored = {file.path.rpartition("/")[2] for file in house.shelf.files.listed()}
    for number in numbers:
        outputs, log, _ = expected_outputs(house.book(number).order, number)
        assert stored >= {*outputs, log}


@pytest.mark.parametrize("api", ["v1", "legacy"])
async def test_jobs_come_from_panda_run_once_and_go_back(
    api: Generation,
    db_settings: Settings,
    tmp_path: Path,
    eventually: Callable[..., Awaitable[Any]],
    end_all: Callable[..., Awaitable[None]],
) -> None:
    async with open_house(db_settings, TestPki(tmp_path / "pki"), tmp_path, api=api) as house:
        here = db_settings.state_dir / "local" / CE
        house.lay_out_pilot()
        house.configure(panda={"workers": True})
        await house.serve()
        jobs = ordered(house)

        async def over() -> bool:
            await house.run(*ROUND)
            kill_once_it_runs(house, jobs["killed"][0])
            house.later(seconds=1)  # the archive is not looked at in every pass
            left = await in_tables(house)
            return left["panda_jobs"] == left["ce_jobs"] == 0 < left["panda_jobs_archive"]

        try:
            await eventually(over, "all jobs are closed, and at rest")
        finally:
            await end_all(await house.rt.ce(CE), here)
        every_job_ended_as_it_should(house, jobs)
        every_output_is_on_storage(house, jobs["good"])
        ran = [number for kind, numbers in jobs.items() if kind != "impossible" for number in numbers]
        assert count(house.witness) == {str(number): 1 for number in ran}
        assert not list(here.glob("[!.]*"))
        rows = {"panda_jobs": 0, "panda_jobs_archive": len(ran) + 1, "ce_jobs": 0, "ce_jobs_archive": len(ran)}
        assert await in_tables(house) == rows
