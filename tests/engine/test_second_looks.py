"""What is judged late, twice, or after a time in which nobody looked: no job is killed, or begun again, for that."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from act_core import homecoming
from act_core.ce.base import Refused, RemoteId, Seen
from act_core.db import listing, queries, wishes
from act_core.db.ledger import Line, standing
from act_core.engine.cancel import cancel
from act_core.engine.clean import clean
from act_core.engine.fetch import fetch
from act_core.engine.judging import by_rules
from act_core.engine.poll import LATE_WORDS, poll
from act_core.engine.rerun import rerun, resubmit
from act_core.errors import Transient
from act_core.jobspec import JobSpec
from act_core.reasons import Reason, Topic
from act_core.states import CeState, Request
from tests.engine.house import CE, House
from tests.engine.test_judging import become, configure, describe, hits

S = CeState
BROKEN = {"error": "Internal error in uploader", "restart_at": "FINISHING"}


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


@pytest.fixture(autouse=True)
def arc(house: House) -> None:
    become(house, "arc-rest")


def jobs_policy(house: House, **changed: timedelta) -> None:
    jobs = house.settings.arc.jobs.model_copy(update=changed)
    house.settings = house.settings.model_copy(update={"arc": house.settings.arc.model_copy(update={"jobs": jobs})})


async def restarted(house: House) -> RemoteId:
    """A job whose stage-out has just been restarted, and which the CE's late list still calls failed."""
    (job,) = await house.jobs(1, S.RUNNING)
    await describe(house, JobSpec(executable="x", reruns=1))
    house.tell(job, "FAILED", **BROKEN)
    await poll(house, CE)
    await rerun(house, CE)
    house.tell(job, "FAILED")

    async def fresh(_ids: Any) -> Mapping[RemoteId, Seen]:
        return {}  # the fresh list of ended jobs knows better

    house.end.ended = fresh  # type: ignore[assignment,method-assign]
    return job


async def test_a_word_from_before_our_restart_begins_no_second_attempt(house: House) -> None:
    job = await restarted(house)
    for _ in range(3):
        house.ahead += timedelta(seconds=61)
        await poll(house, CE)
        await resubmit(house, CE)
    assert [(row.attempt, row.state, row.request) for row in await house.rows()] == [(1, "submitted", None)]
    house.tell(job, "FINISHED")
    await poll(house, CE)
    assert await house.states() == {job: "finished"}


@pytest.mark.parametrize("word", [None, "QUEUING"], ids=["the same word for too long", "after a new word"])
async def test_a_new_end_after_our_restart_is_believed(house: House, word: str | None) -> None:
    job = await restarted(house)
    house.ahead += timedelta(seconds=61) if word else LATE_WORDS["arc-rest"]
    if word:
        house.tell(job, word)
        await poll(house, CE)
        house.tell(job, "FAILED")
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request, row.rule) == ("failed", "resubmit", "arc-uploader")


async def held(house: House) -> None:
    jobs_policy(house, checkinterval=timedelta(minutes=1))
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "HELD", error="x")
    await poll(house, CE)


async def test_time_in_which_nobody_asked_counts_for_no_limit(house: House) -> None:
    await held(house)
    house.ahead += timedelta(days=3)  # in a downtime; held jobs have two days
    await poll(house, CE)
    (row,) = await house.rows()
    assert row.request is None
    for _ in range(24 * 2 * 5):  # each ten minutes for 40 hours
        house.ahead += timedelta(minutes=10)
        await poll(house, CE)
    assert (await house.rows())[0].version == row.version
    house.ahead += timedelta(minutes=14)
    for _ in range(50):
        house.ahead += timedelta(minutes=10)
        await poll(house, CE)
    assert (await house.rows())[0].request == "cancel"


async def test_what_nobody_asked_for_is_written_once_and_not_with_each_poll(house: House) -> None:
    await held(house)
    house.ahead += timedelta(hours=5)
    sent: list[str] = []
    event.listen(house._db.engine, "before_cursor_execute", lambda *said: sent.append(said[2]))
    for n in (1, 0, 0):
        sent.clear()
        await poll(house, CE)
        assert sum("UPDATE ce_jobs" in one for one in sent) == n
        house.ahead += timedelta(minutes=2)


async def test_a_job_that_is_refused_again_and_again_is_one_witness(house: House) -> None:
    await house.jobs(3, S.SUBMITTING)
    waits = await house.read(queries.in_doubt, CE, house.now() + timedelta(hours=1), 10)
    modes = []
    for attempt in (waits[0], waits[0], waits[0], waits[1], waits[2]):
        answers = {attempt.key: Refused("New job submission is not allowed", for_good=True)}
        await by_rules(house, CE, "arc-rest", {attempt.key: attempt}, answers)
        row = await house.read(queries.ce_row, CE)
        modes.append(row.mode if row else None)
        house.ahead += timedelta(seconds=20)
    assert modes == ["on", "on", "on", "on", "rest"]
    assert await hits(house) == {"arc-draining": 5}


@pytest.mark.parametrize("refused", [False, True], ids=["wished away by hand", "its CE refuses to clean it"])
async def test_what_is_to_be_cleaned_now_is_work_that_is_left(house: House, refused: bool) -> None:
    await house.jobs(1, S.FAILED)
    await house.changed(1, S.DONEFAILED)
    await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
    await clean(house, CE)
    assert await house.read(listing.unsettled) == 0  # it stays for a day
    await house.write(wishes.wish, "manual", ["j0"], Request.CLEAN, house.now())
    assert await house.read(listing.unsettled) == 1
    for job in house.end.world.jobs.values() if refused else ():
        job.state = "RUNNING"
    await clean(house, CE)
    await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
    assert await house.read(listing.unsettled) == refused


async def test_a_restart_whose_answer_is_lost_may_run_and_is_killed_before_another_attempt(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await describe(house, JobSpec(executable="x", reruns=1))
    house.tell(job, "FAILED", **BROKEN)
    await poll(house, CE)
    house.end.world.fault, house.end.world.strikes_at = "lose", 0
    with pytest.raises(Transient):
        await rerun(house, CE)
    assert house.end.world.jobs[job].state == "QUEUING"
    assert await house.states() == {job: "submitted"}
    await house.write(wishes.wish, "manual", ["j0"], Request.RESUBMIT, house.now())
    await resubmit(house, CE)
    assert len(await house.rows()) == 1
    await cancel(house, CE)
    assert house.end.world.jobs[job].state == "KILLED"


async def test_the_rule_that_decides_when_no_restart_is_allowed_is_counted_once(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await describe(house, JobSpec(executable="x", reruns=2))
    house.end.world.jobs[job].runs = 2
    house.tell(job, "FAILED", **BROKEN)
    await poll(house, CE)
    await rerun(house, CE)
    assert await hits(house) == {"arc-uploader": 1}


async def test_a_failed_job_that_is_held_without_end_is_told_without_end(house: House) -> None:
    jobs_policy(house, maxtimehold=timedelta(0))
    configure(house, rules=[{"pattern": "odd", "action": "hold", "name": "look"}])
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="very odd")
    for _ in range(3):
        await poll(house, CE)
        house.ahead += timedelta(minutes=2)
    assert [row.code for row in await house.read(standing, ces=[CE])] == [Reason.RULE_HOLDS]


async def test_lines_of_a_process_that_died_end_although_others_begin(house: House) -> None:
    become(house, "htcondor")
    facts = {"ce": CE, "share": "gone", "rule": "r", "error": "e", "why": "w"}
    await house.note([Line(Topic.ERRORS, Reason.RULE_HOLDS, CE, "gone", n=1, facts=facts)])
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "HELD", error="hold 4/0: proxy expired")
    await poll(house, CE)
    assert {row.share for row in await house.read(standing, ces=[CE])} == {""}


async def test_what_ends_well_before_a_rule_begins_it_again_is_kept(house: House) -> None:
    become(house, "htcondor")
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "HELD", error="hold 6/2: x")
    await poll(house, CE)
    assert (await house.rows())[0].request == "resubmit"
    house.tell(job, "FINISHED")
    await poll(house, CE)
    await resubmit(house, CE)
    await fetch(house, CE)
    assert await house.states() == {job: "done"}


async def test_what_was_to_be_killed_is_not_begun_again_when_its_documents_come_late(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    await house.write(wishes.wish, "manual", ["j0"], Request.CANCEL, house.now())
    house.tell(job, "FAILED", error="Job was lost", wall_s=3)
    house.end.dark[job] = Transient("no documents now")
    await poll(house, CE)
    await homecoming.on_news(house, await house.read(queries.with_news, "manual", 10))
    house.end.dark.clear()
    await fetch(house, CE)
    await resubmit(house, CE)
    assert await house.states() == {job: "donefailed"}
