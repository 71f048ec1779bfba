"""Bugs of the original that concern validation and final reports, by the numbers of docs/bugs.md."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas import clearing
from act_core.atlas.final import Ended, final_update
from act_core.engine.results import result_dir
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import CE, House

P = PandaState
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def test_bug_08_an_outage_of_panda_costs_no_report(queue: House) -> None:
    """The pilot's report is in the table before anybody is told: its file may be gone."""
    number = await queue.running()
    await queue.ended(number)
    await queue.run("fetch-validate")
    job = await queue.attempt(number)
    shutil.rmtree(result_dir(queue.rt.settings, job.app, job.app_job_id, job.attempt, job.created))
    await queue.fault(queue.panda, Kind.DOWN)
    for _ in range(3):
        await queue.run("heartbeat")
        queue.later(hours=1)
    await queue.panda.faults.remove()
    await queue.run("heartbeat")
    told = queue.book(number)
    assert (told.status, told.finals, told.columns["pilotErrorCode"]) == ("finished", 1, 0)


async def test_bug_09_a_killed_job_is_not_validated_when_it_ends_well(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.change(number, state=P.TOKILL.value)
    await queue.ended(number)
    row = await queue.row(number)
    assert (row.state, row.outputs) == (P.TOREPORT.value, None)
    assert await queue.run("fetch-validate") == {}


@pytest.mark.parametrize("cores", [0, 1, 8])
def test_bug_10_times_of_a_report_are_seconds_and_start_before_the_end(cores: int) -> None:
    job = Ended(7, 1, "Q", "failed", NOW, cores=cores, wall_s=7200, cpu_s=100, ended=NOW - timedelta(hours=1))
    body = final_update(job, None, "act").body()
    assert (body["start_time"], body["end_time"]) == ("2026-11-21 09:00:00", "2026-11-21 11:00:00")
    assert (body["pilot_timing"], body["cpu_consumption_time"]) == ("0|0|7200|0|0|0", 100)


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.RESET_BEFORE, Kind.ERROR])
async def test_bug_16_a_storage_that_is_down_ends_no_validation(queue: House, kind: Kind) -> None:
    """The original's key for that, srmdown, ended the Validator."""
    (number,) = await queue.bound()
    await queue.ended(number)
    await queue.fault(queue.storage, kind, method="HEAD")
    assert await queue.run("fetch-validate") == {"files unreachable": 2}
    assert (await queue.row(number)).state == P.TOVALIDATE.value
    await queue.storage.faults.remove()
    queue.later(minutes=1)
    assert (await queue.run("fetch-validate"))["validated"] == 1


async def test_bug_24_a_failed_deletion_holds_up_nobody_for_ever(queue: House) -> None:
    """The original switched deletion off, since bad storage blocked its Validator."""
    queue.configure(validation={"delete": "on"})
    (number,) = await queue.bound()
    await queue.over(number, ce=CE, remote_id="r1")
    path = json.loads(queue.produced(number).files["heartbeat.json"])["xml"]
    first = next(iter(json.loads(path).values()))["surl"]
    queue.shelf.files.put(first.removeprefix(queue.storage.url), b"half")
    await queue.tower.news()
    await queue.run("fetch-validate")
    await queue.run("submit")
    await queue.tower.news()
    await queue.fault(queue.storage, Kind.ERROR, method="DELETE|PROPFIND")
    assert await clearing.clear(queue.rt, clearing.KEY) == {"files kept": 2}
    assert (await queue.attempts(number))[-1].fenced_until is None
