"""PanDA jobs are bound to attempts exactly once; one that cannot be described fails in PanDA and blocks nobody."""

import json
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas.bind import attempts_of, bind, due
from act_core.atlas.cric import Queue
from act_core.atlas.translate import translate
from act_core.atlas.wire import PandaJob
from act_core.db.models import CeJob, Description, PlacementCe
from act_core.jobspec import JobSpec
from act_core.simulators.cric_queues import CeDescription
from act_core.states import CeState, PandaState
from tests.atlas.house import CE, QUEUE, House, Killed, killed_at

SENT, STARTING, TOREPORT = PandaState.SENT.value, PandaState.STARTING.value, PandaState.TOREPORT.value


async def bound_once(house: House, numbers: list[int]) -> None:
    assert await house.states() == dict.fromkeys(numbers, STARTING)
    assert [len(await house.attempts(number)) for number in numbers] == [1] * len(numbers)


async def test_each_job_gets_one_attempt_at_its_queues_ces(queue: House) -> None:
    numbers = await queue.taken(3, cores=2, priority=950)
    assert await due(queue.rt) == [QUEUE]
    assert await queue.run("translate") == {"bound": 3}
    assert await due(queue.rt) == []
    await bound_once(queue, numbers)
    attempt = await queue.attempt(numbers[0])
    assert (attempt.app, attempt.app_job_id, attempt.attempt) == ("atlas", f"{numbers[0]}.1", 1)
    assert (attempt.state, attempt.share) == (CeState.TOSUBMIT.value, QUEUE)
    assert attempt.attempts_left == queue.rt.settings.arc.jobs.attempts

    def read(session: Session) -> tuple[list[str], str]:
        ces = select(PlacementCe.ce).where(PlacementCe.placement_id == attempt.placement_id)
        spec = select(Description.spec).where(Description.id == attempt.description_id)
        return list(session.scalars(ces)), session.execute(spec).scalar_one()

    ces, text = await queue.rt.read(read)
    spec = JobSpec.model_validate_json(text)
    assert (ces, spec.cores) == ([CE], 2)
    (job_file,) = [file.content for file in spec.uploads if file.name == "pandaJobData.out"]
    assert f"PandaID={numbers[0]}&" in str(job_file)


async def test_native_jobs_go_only_to_ces_that_move_data(queue: House) -> None:
    local = CeDescription(name=CE, endpoint="localhost", flavour="LOCAL-CE")
    await queue.serve(ces=(CONDOR, local))
    (number,) = await queue.bound()
    attempt = await queue.attempt(number)
    asked = select(PlacementCe.ce).where(PlacementCe.placement_id == attempt.placement_id)
    assert await queue.rt.read(lambda session: list(session.scalars(asked))) == [CE]


@pytest.mark.parametrize("moment", ["UPDATE panda_jobs", "INSERT INTO ce_jobs", "COMMIT"])
async def test_a_process_that_dies_while_it_binds_leaves_all_or_nothing(queue: House, moment: str) -> None:
    numbers = await queue.taken(3)
    with killed_at(queue.rt, moment), pytest.raises(Killed):
        await bind(queue.rt, QUEUE)
    assert await queue.states() == dict.fromkeys(numbers, SENT)
    assert [await queue.attempts(number) for number in numbers] == [[]] * 3
    await bind(queue.rt, QUEUE)
    await bound_once(queue, numbers)


async def test_two_that_bind_at_once_bind_once(queue: House) -> None:
    numbers = await queue.taken(3)

    async def another() -> None:
        assert await bind(queue.rt, QUEUE) == {"bound": 3}

    queue.rt.meanwhile = another
    assert await bind(queue.rt, QUEUE) == {}
    await bound_once(queue, numbers)


async def test_a_job_that_cannot_be_translated_fails_in_panda_and_blocks_nobody(queue: House) -> None:
    (bad,) = queue.order(inputs=1, extra={"inFiles": "pandaJobData.out"})
    good = queue.order(2)
    await queue.run("fetch-jobs", "heartbeat")
    assert await queue.run("translate") == {"bound": 2, "untranslatable": 1}
    assert await queue.states() == {bad: TOREPORT} | dict.fromkeys(good, STARTING)
    assert await queue.attempts(bad) == []
    assert await queue.run("translate") == {}
    await queue.run("heartbeat")
    job = queue.book(bad)
    assert (job.status, job.finals, job.columns["pilotErrorCode"]) == ("failed", 1, 1008)
    assert "named twice" in str(job.columns["pilotErrorDiag"])
    row = await queue.row(bad)
    assert (row.state, row.told) == (PandaState.CLOSED.value, "failed")
    assert "named twice" in str(row.error)


CONDOR = CeDescription(name="htc", endpoint="htc.test.example:9619", flavour="HTCONDOR-CE")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "offline"}, "is offline"),
        ({"ces": ()}, "has no CE"),
        ({"ces": (CONDOR,)}, "needs an ARC CE, and has only htc.test.example:9619"),
        ({"fields": {"workflow": "pull"}}, "a pull queue"),
    ],
    ids=["offline", "no CE", "no ARC CE", "pull"],
)
async def test_jobs_of_a_queue_that_cannot_take_them_any_more_go_back(
    queue: House, change: dict[str, object], why: str
) -> None:
    (number,) = await queue.taken()
    await queue.serve(**change)
    await queue.run("translate", "heartbeat")
    assert await queue.attempts(number) == []
    job = queue.book(number)
    assert job.status == "failed"
    assert why in str(job.columns["pilotErrorDiag"])


async def test_a_trouble_of_one_queue_is_its_own(queue: House) -> None:
    await queue.serve(name="OTHER")
    bad = await queue.taken(2, queue="OTHER")
    good = await queue.taken(2)
    await queue.serve(name="OTHER", pilot_args="--a 'open")
    assert await queue.run("translate") == {"bound": 2, "untranslatable": 2}
    assert await queue.states() == dict.fromkeys(bad, TOREPORT) | dict.fromkeys(good, STARTING)


async def test_an_absurd_number_blocks_nobody(queue: House) -> None:
    (bad,) = await queue.taken()
    good = await queue.taken(2)
    raw = json.loads((await queue.row(bad)).job) | {"maxCpuCount": "1" + "0" * 320}
    await queue.change(bad, job=json.dumps(raw))
    assert await queue.run("translate") == {"bound": 2, "untranslatable": 1}
    assert await queue.states() == {bad: TOREPORT} | dict.fromkeys(good, STARTING)
    assert "maxCpuCount" in str((await queue.row(bad)).error)


async def test_a_job_over_which_we_stumble_fails_alone(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = await queue.taken(2)

    def buggy(job: PandaJob, *args: Any) -> JobSpec:
        if job.panda_id == bad:
            raise OverflowError("too large")
        return translate(job, *args)

    monkeypatch.setattr("act_core.atlas.bind.translate", buggy)  # no job is known to make it raise
    assert await queue.run("translate") == {"bound": 1, "untranslatable": 1}
    assert await queue.states() == {bad: TOREPORT, good: STARTING}
    assert "too large" in str((await queue.row(bad)).error)


async def test_what_a_killed_job_is_told_of_is_not_written_over(queue: House) -> None:
    """PanDA's answer to `starting` comes while the job is being described."""
    (number,) = await queue.taken()
    queue.books.kill([number], None, queue.clock.now())

    async def told() -> None:
        await queue.run("heartbeat")

    queue.rt.meanwhile = told
    assert await bind(queue.rt, QUEUE) == {}
    assert (await queue.row(number)).state == TOREPORT
    assert await queue.attempts(number) == []


async def test_the_job_reaches_its_pilot_as_panda_gave_it(queue: House) -> None:
    (number,) = await queue.taken(extra={"jobPars": "--name=Zoë&x=1 %20"})
    assert json.loads((await queue.row(number)).job)["jobPars"] == "--name=Zoë&x=1 %20"
    await queue.run("translate")
    question = select(Description.spec).join(CeJob, CeJob.description_id == Description.id)
    spec = JobSpec.model_validate_json(await queue.rt.read(lambda session: session.execute(question).scalar_one()))
    (content,) = [file.content for file in spec.uploads if file.name == "pandaJobData.out"]
    assert "jobPars=--name%3DZo%C3%AB%26x%3D1+%2520" in str(content)


@pytest.mark.parametrize(("truepilot", "attempts"), [(False, 5), (True, 0)], ids=["native", "its pilot decides itself"])
def test_who_decides_about_another_attempt(truepilot: bool, attempts: int) -> None:
    assert attempts_of(Queue(name="Q", schedconfig="Q", truepilot=truepilot), 5) == attempts


async def test_a_job_with_an_attempt_that_should_not_be_there_fails_alone(queue: House) -> None:
    """Nobody knows how it came: the attempt goes no further, PanDA hears why, and the others are bound."""
    (odd,) = await queue.bound()
    await queue.change(odd, state=SENT)
    (good,) = await queue.taken()
    assert await queue.run("translate") == {"bound": 1, "untranslatable": 1}
    assert await queue.states() == {odd: TOREPORT, good: STARTING}
    assert "an attempt of it is in the tower's tables" in str((await queue.row(odd)).error)
    assert ((await queue.attempt(odd)).request, (await queue.attempt(good)).request) == ("cancel", None)
