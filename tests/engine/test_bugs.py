"""The original's bugs by their numbers (docs/bugs.md): what each of them did to jobs does not happen here.

Steps over real tables and a CE in memory; where the wire is what broke, over a simulated A-REX.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.atlas.mirror import Heard, Home, heard
from act_core.ce import arc_dialect
from act_core.ce.base import Gone, Refused, RemoteId, Seen
from act_core.db import queries, wishes
from act_core.db.arrivals import add_jobs
from act_core.db.attempts import new_key
from act_core.db.models import CeJob
from act_core.decisions import Move
from act_core.engine.cancel import cancel
from act_core.engine.clean import clean
from act_core.engine.fetch import fetch
from act_core.engine.poll import after_look, poll
from act_core.engine.reconcile import reconcile
from act_core.engine.rerun import rerun, resubmit
from act_core.engine.submit import send_inputs, submit
from act_core.errors import ActError, Transient
from act_core.jobspec import JobSpec
from act_core.simulators.pki import TestPki
from act_core.states import CeState, PandaState, Request
from tests.atlas.house import BOOKED
from tests.ce.arc_house import TOWER, Builder
from tests.engine.house import CE, House, SlowCe, new

S = CeState
Make = Callable[..., Any]


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


async def fail_all(house: House, jobs: list[RemoteId], error: str, kind: str = "arc-rest") -> None:
    house.end.traits = replace(SlowCe.traits, kind=kind)
    for job in jobs:
        house.tell(job, "FAILED", error=error)
    await poll(house, CE)


async def test_bug_01_a_failed_job_of_the_list_is_resubmitted_and_the_jobs_after_it_go_on(house: House) -> None:
    first, second = await house.jobs(2, S.RUNNING)
    house.tell(second, "FINISHED")
    await fail_all(house, [first], "Job was lost")
    await resubmit(house, CE)
    states = [(row.app_job_id, row.attempt, row.state) for row in await house.rows()]
    assert states == [("j0", 1, "donefailed"), ("j1", 1, "finished"), ("j0", 2, "tosubmit")]


async def test_bug_02_a_job_in_submitting_whose_submitter_died_is_found_again(house: House) -> None:
    await house.jobs(1, S.SUBMITTING)
    (row,) = await house.rows()
    house.end.world.take(row.submission_key, JobSpec(name="j0", executable="x"))  # type: ignore[arg-type]
    house.ahead += timedelta(minutes=2)
    await reconcile(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.remote_id) == ("submitted", next(iter(house.end.world.jobs)))


@pytest.mark.parametrize(
    ("step", "state", "request_"),
    [
        (cancel, S.RUNNING, Request.CANCEL),
        (clean, S.FAILED, Request.CLEAN),
        (rerun, S.FAILED, Request.RERUN),
        (fetch, S.FINISHED, None),
    ],
    ids=["cancel", "clean", "rerun", "fetch"],
)
async def test_bug_03_a_request_that_failed_is_no_success(
    house: House, step: Any, state: S, request_: Request | None
) -> None:
    await house.jobs(1, state)
    if request_:
        await house.write(wishes.wish, "manual", ["j0"], request_, house.now())
    house.end.world.fault = "hang"
    with suppress(Transient):
        await step(house, CE)
    (row,) = await house.rows()
    intended = S.SUBMITTED if step is rerun else state  # it may run: only a question is left, and the wish
    assert (row.state, row.request, row.ce_clean_at) == (intended.value, request_ and request_.value, None)
    assert list(house.end.world.jobs) == [row.remote_id]


@pytest.mark.parametrize("native", ["PREPARING", "QUEUING", "RUNNING", "HELD", "KILLING"])
async def test_bug_04_an_answer_does_not_undo_a_kill(house: House, native: str) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await house.write(wishes.wish, "manual", ["j0"], Request.CANCEL, house.now())
    await cancel(house, CE)
    house.tell(job, native)
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request) == ("cancelling", "cancel")
    killed: list[RemoteId] = []
    original = house.end.cancel

    async def watched(ids: Any) -> Any:
        killed.extend(ids)
        return await original(ids)

    house.end.cancel = watched  # type: ignore[method-assign]
    await cancel(house, CE)
    assert killed == []  # its patience lasts
    house.ahead += house.settings.arc.jobs.maxtimecancelling + timedelta(seconds=1)
    await cancel(house, CE)
    assert killed == [job]  # and is over: killed again


@pytest.mark.parametrize(
    ("wish", "native", "state", "fetched"),
    [
        pytest.param(Request.CANCEL, "FINISHED", "finished", True, id="it was quicker: its outputs come home"),
        pytest.param(Request.CLEAN, "FINISHED", "finished", False, id="nobody wants them"),
        pytest.param(Request.RESUBMIT, "FINISHED", "finished", False, id="it begins again"),
        pytest.param(Request.CANCEL, "KILLED", "cancelled", False, id="killed"),
        pytest.param(Request.CANCEL, "FAILED", "cancelled", False, id="killed, and told as failed"),
    ],
)
async def test_bug_04_the_end_of_a_job_that_is_being_killed(
    house: House, wish: Request, native: str, state: str, fetched: bool
) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await house.write(wishes.wish, "manual", ["j0"], wish, house.now())
    await cancel(house, CE)
    house.tell(job, native)
    await poll(house, CE)
    assert await house.states() == {job: state}
    assert bool(await house.read(queries.to_fetch, CE, house.now(), 10)) is fetched


async def test_bug_05_a_failed_upload_leaks_no_job(house: House) -> None:
    (job,) = await house.jobs(1, S.SUBMITTED)
    house.end.trouble[job] = Transient("cut off")
    for _ in range(2):
        with suppress(ActError):
            await send_inputs(house, CE)
        house.ahead += timedelta(minutes=2)
    (row,) = await house.rows()
    assert (row.state, row.remote_id, row.inputs_sent_at) == ("submitted", job, None)
    house.end.trouble.clear()
    await send_inputs(house, CE)
    assert (await house.rows())[0].inputs_sent_at is not None
    assert list(house.end.world.jobs) == [job]


async def test_bug_06_a_lost_answer_submits_nothing_twice(house: House) -> None:
    await house.write(add_jobs, house.tower, [new("j0")], house.now())
    house.end.world.fault = "lose"
    await submit(house, CE)
    assert [row.state for row in await house.rows()] == ["submitting"]
    for _ in range(3):
        house.ahead += timedelta(minutes=1)
        await submit(house, CE)
        await reconcile(house, CE)
    (row,) = await house.rows()
    assert (row.state, [row.remote_id]) == ("submitted", list(house.end.world.jobs))


async def test_bug_07_answers_are_matched_by_id(house: House) -> None:
    jobs = await house.jobs(3, S.RUNNING)
    for job, native in zip(jobs, ("FINISHED", "RUNNING", "KILLED"), strict=True):
        house.tell(job, native)
    original = house.end.states

    async def odd(ids: Any) -> Mapping[RemoteId, Seen]:
        found = await original(ids)
        return {one: found[one] for one in reversed(list(found)) if one != jobs[1]}  # another order, and one too few

    async def none_yet(_ids: Any) -> Mapping[RemoteId, Seen]:
        return {}  # the list of ended jobs, which would speak first

    house.end.states = odd  # type: ignore[method-assign]
    house.end.ended = none_yet  # type: ignore[assignment,method-assign]
    await poll(house, CE)
    assert await house.states() == dict(zip(jobs, ("finished", "running", "cancelled"), strict=True))


@pytest.mark.parametrize("row", [PandaState.TOREPORT, PandaState.CLOSED, PandaState.TOVALIDATE])
def test_bug_09_a_late_end_does_not_reopen_a_job(row: PandaState, db_settings: Any, attempt: Make) -> None:
    late = CeJob(state=S.DONE.value, ce=CE, created=attempt(S.DONE).created)
    said = heard(late, replace(BOOKED, state=row), Home(), db_settings, attempt(S.DONE).created)
    wish = None if row is PandaState.TOVALIDATE else Request.CLEAN  # the verdict on its outputs comes first
    assert said == Heard(None, wish)


@pytest.mark.parametrize(("slots", "wall"), [("0", 7200), ("4", 1800), ("", 7200)], ids=["no slots", "four", "unsaid"])
def test_bug_10_wall_time_is_in_seconds_and_no_slots_divide_nothing(slots: str, wall: int) -> None:
    said = {"State": "arcrest:FINISHED", "UsedTotalWallTime": "7200", "RequestedSlots": slots}
    assert arc_dialect.facts(said).wall_s == wall


async def test_bug_11_nothing_is_sent_when_no_description_is_valid(tmp_path: Path) -> None:
    pki = TestPki(tmp_path / "pki")
    pki.proxy("alice", path=pki.root / "proxy.pem")
    async with AsyncExitStack() as stack:
        arc = await Builder(pki, tmp_path, stack)()
        key = new_key(TOWER)
        answers = await arc.client().submit({key: JobSpec(executable="/bin/\x01")})
        refused = answers[key]
        assert isinstance(refused, Refused)
        assert refused.for_good
        assert await arc.asked("jobs") == 0


async def test_bug_12_a_job_goes_to_any_of_its_candidates(house: House) -> None:
    await house.write(add_jobs, house.tower, [new("j0", "other", CE), new("j1", "other")], house.now())
    house.ahead += timedelta(minutes=1)
    await submit(house, CE)
    assert [(row.app_job_id, row.ce) for row in await house.rows()] == [("j0", CE), ("j1", None)]


async def test_bug_13_a_ce_whose_name_ends_like_anothers_gets_none_of_its_jobs(house: House) -> None:
    await house.write(add_jobs, house.tower, [new("j0", f"my-{CE}"), new("j1", f"{CE},{CE}")], house.now())
    house.ahead += timedelta(minutes=1)
    await submit(house, CE)
    assert {row.state for row in await house.rows()} == {"tosubmit"}


def test_bug_04_a_job_that_its_ce_removed_while_it_was_killed_is_cancelled(attempt: Make, now: Any) -> None:
    decision = after_look(attempt(S.CANCELLING), Seen(S.LOST, "WIPED"), now)
    assert isinstance(decision, Move)
    assert decision.to is S.CANCELLED


async def test_bug_03_what_is_gone_is_no_failed_request(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.end.world.jobs.clear()
    assert await house.end.cancel([job]) == {job: Gone()}
