"""What PanDA is told, when, and what its answers do: kills, refusals by name, final reports until it has them."""

import json
from datetime import timedelta
from typing import Any

import pytest

from act_core.atlas import books, heartbeat
from act_core.atlas.heartbeat import spread
from act_core.atlas.instance import server_of
from act_core.db.panda_models import PandaRow
from act_core.simulators.faults import Kind
from act_core.simulators.panda_records import Job
from act_core.states import PandaState, Request
from tests.atlas.house import BULK, House, Killed, killed_at

P = PandaState
BEAT = timedelta(minutes=30)


async def to_report(house: House) -> int:
    """A job that ended well; PanDA has not heard of it yet."""
    number = await house.running()
    await house.ended(number)
    await house.run("fetch-validate")
    assert (await house.row(number)).state == P.TOREPORT.value
    return number


def statuses(job: Job) -> list[str]:
    return [update.status for update in job.updates]


async def test_a_job_that_was_taken_is_told_to_be_starting_at_once(queue: House) -> None:
    numbers = await queue.taken(3)
    assert await heartbeat.due(queue.rt) == [server_of(queue.rt)]
    assert await queue.run("heartbeat") == {"told": 3}
    for row in (await queue.rows()).values():
        assert (row.state, row.told, row.refused) == (P.SENT.value, "starting", 0)
        assert row.told_at is not None
        assert row.heartbeat_due_at == row.told_at + spread(BEAT, row.panda_id)
    assert {queue.book(number).status for number in numbers} == {"starting"}


async def test_a_running_job_is_told_of_once_an_interval(queue: House) -> None:
    number = await queue.running()
    assert await heartbeat.due(queue.rt) == []
    queue.later(minutes=23)
    assert await queue.run("heartbeat") == {}
    queue.later(minutes=8)
    assert await queue.run("heartbeat") == {"told": 1}
    job = queue.book(number)
    assert statuses(job) == ["running", "running"]
    assert (job.columns["modificationHost"], job.columns["actualCoreCount"]) == ("wn7", 1)
    assert job.columns["schedulerID"] == queue.rt.settings.app.panda.schedulerid


async def test_each_server_hears_of_its_own_jobs_only(queue: House) -> None:
    mine, other = await queue.taken(2)
    await queue.change(other, server="another.example")
    assert await queue.run("heartbeat") == {"told": 1}
    assert (statuses(queue.book(mine)), statuses(queue.book(other))) == (["starting"], [])
    assert await heartbeat.due(queue.rt) == []


# --- kill orders -----------------------------------------------------------------------------------------------------


def killed_by_somebody(house: House, number: int) -> None:
    house.books.kill([number], None, house.clock.now())


def timed_out(house: House, number: int) -> None:
    """Still in the active table, as failed: it answers alreadydone."""
    house.clock.advance(timedelta(hours=2, seconds=1))
    assert house.book(number).status == "failed"


def archived(house: House, number: int) -> None:
    house.books.kill([number], 9, house.clock.now())
    assert house.book(number).status == "cancelled"


def another_attempt(house: House, number: int) -> None:
    job = house.book(number)
    job.order = job.order.model_copy(update={"attempt": 2})


def unknown(house: House, number: int) -> None:
    del house.books.jobs[number]


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (killed_by_somebody, "wants it dead"),
        (archived, "wants it dead"),
        (another_attempt, "wants it dead"),
        (unknown, "wants it dead"),
        (timed_out, "says that it is over"),
    ],
)
async def test_a_kill_order_reaches_the_engine(queue: House, happened: Any, words: str) -> None:
    number, neighbour = await queue.running(), await queue.running()
    happened(queue, number)
    queue.later(minutes=31)
    await queue.change(neighbour, heartbeat_due_at=None)
    assert await queue.run("heartbeat") == {"told": 1, "kill orders": 1}
    row = await queue.row(number)
    assert (row.state, row.heartbeat_due_at) == (P.TOKILL.value, None)
    assert words in str(row.error)
    assert (await queue.attempt(number)).request == Request.CANCEL.value
    assert ((await queue.row(neighbour)).state, (await queue.attempt(neighbour)).request) == (P.RUNNING.value, None)
    queue.later(minutes=31)
    assert await queue.run("heartbeat") == {}  # nobody is told of a job that is being killed


@pytest.mark.parametrize("moment", ["UPDATE panda_jobs", "UPDATE ce_jobs", "COMMIT"])
async def test_a_kill_order_outlives_a_process_that_dies_over_it(queue: House, moment: str) -> None:
    number = await queue.running()
    killed_by_somebody(queue, number)
    queue.later(minutes=31)
    with killed_at(queue.rt, moment), pytest.raises(Killed):
        await heartbeat.heartbeat(queue.rt, server_of(queue.rt))
    assert ((await queue.row(number)).state, (await queue.attempt(number)).request) == (P.RUNNING.value, None)
    assert await queue.run("heartbeat") == {"told": 1, "kill orders": 1}
    assert (await queue.attempt(number)).request == Request.CANCEL.value


async def test_two_attempts_of_one_panda_job_are_told_apart(queue: House) -> None:
    """PanDA has given the job out again; both rows are due in the same round."""
    number = await queue.running()
    old = await queue.row(number)
    another_attempt(queue, number)
    kept = {column.name: getattr(old, column.name) for column in old.__table__.columns}
    now = queue.rt.now()
    fresh = {"id": old.id + 1, "attempt_nr": 2, "state": P.SENT.value, "wanted": "starting", "heartbeat_due_at": now}
    await queue.rt.write(books.insert_jobs, [kept | fresh])
    await queue.change(number, heartbeat_due_at=now)
    await queue.run("heartbeat", "heartbeat")
    rows = await queue.rt.read(books.picked, PandaRow.panda_id == number, limit=9)
    assert [(row.attempt_nr, row.state, row.told) for row in rows] == [
        (1, P.TOKILL, "running"),
        (2, P.SENT, "starting"),
    ]
    assert (await queue.attempt(number)).request == Request.CANCEL.value


async def test_a_job_that_is_killed_before_it_has_an_attempt_is_over_at_once(queue: House) -> None:
    (number,) = await queue.taken()
    await queue.run("heartbeat")
    killed_by_somebody(queue, number)
    queue.later(minutes=31)
    assert await queue.run("heartbeat") == {"told": 1}
    assert (await queue.row(number)).state == P.TOREPORT.value
    assert await queue.run("translate") == {}
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    job = queue.book(number)
    assert (job.status, job.columns["pilotErrorCode"]) == ("cancelled", 1144)
    assert (await queue.row(number)).state == P.CLOSED.value
    assert await queue.attempts(number) == []


# --- final reports ---------------------------------------------------------------------------------------------------


async def test_the_final_report_closes_the_job_and_lets_its_attempts_go(queue: House) -> None:
    number = await to_report(queue)
    assert (await queue.attempt(number)).released_at is None
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    row = await queue.row(number)
    assert (row.state, row.told, row.heartbeat_due_at) == (P.CLOSED.value, "finished", None)
    assert (await queue.attempt(number)).released_at is not None
    assert (queue.book(number).status, queue.book(number).finals) == ("finished", 1)
    queue.later(hours=5)
    assert await queue.run("heartbeat") == {}


async def test_a_final_report_outlives_an_outage_of_panda_as_it_was_written(queue: House) -> None:
    number = await to_report(queue)
    written = (await queue.row(number)).report
    await queue.fault(queue.panda, Kind.DOWN)
    for _ in range(5):
        assert await queue.run("heartbeat") == {"errors": 1}
        queue.later(hours=1)
    row = await queue.row(number)
    assert (row.state, row.report) == (P.TOREPORT.value, written)
    assert (await queue.attempt(number)).released_at is None
    await queue.panda.faults.remove()
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    job, report = queue.book(number), json.loads(str(written))
    assert (job.status, job.finals, statuses(job)) == ("finished", 1, ["running", "finished"])
    told = {
        "pilotErrorCode": "pilot_error_code",
        "endTime": "end_time",
        "startTime": "start_time",
        "nEvents": "n_events",
    }
    assert {name: job.columns[name] for name in told} == {name: report[ours] for name, ours in told.items()}


@pytest.mark.parametrize("kind", [Kind.ACCEPT_HANGUP, Kind.HALF_ANSWER, Kind.MALFORMED_JSON, Kind.EMPTY])
async def test_a_final_report_whose_answer_was_lost_counts_once(queue: House, kind: Kind) -> None:
    number = await to_report(queue)
    await queue.fault(queue.panda, kind, path=BULK, times=1)
    assert await queue.run("heartbeat") == {"errors": 1}
    assert (await queue.row(number)).state == P.TOREPORT.value
    queue.later(seconds=11)
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    job = queue.book(number)
    assert (job.status, job.finals, statuses(job)) == ("finished", 1, ["running", "finished", "finished"])
    assert (await queue.row(number)).state == P.CLOSED.value


@pytest.mark.parametrize("happened", [archived, another_attempt, unknown, timed_out])
async def test_a_final_report_that_panda_does_not_want_is_not_sent_again(queue: House, happened: Any) -> None:
    number = await to_report(queue)
    happened(queue, number)
    assert await queue.run("heartbeat") == {"told": 1, "final": 1}
    assert (await queue.row(number)).state == P.CLOSED.value
    assert (await queue.attempt(number)).request != Request.CANCEL.value


async def test_an_answer_that_comes_too_late_is_not_written_over_what_is_newer(queue: House) -> None:
    """The attempt ends while PanDA is being told that it runs."""
    number = await queue.running()
    queue.later(minutes=31)

    async def ends() -> None:
        await queue.ended(number)

    queue.rt.meanwhile = ends
    await heartbeat.heartbeat(queue.rt, server_of(queue.rt))
    row = await queue.row(number)
    assert (row.state, row.wanted) == (P.TOVALIDATE.value, "transferring")
    assert row.heartbeat_due_at is not None
    assert row.heartbeat_due_at <= queue.rt.now()  # the newer state is still to be told


async def test_a_job_that_is_killed_while_its_outputs_are_checked_ends(queue: House) -> None:
    number = await queue.running()
    await queue.ended(number)
    await queue.moved(number, request=None, ce_clean_at=queue.rt.now(), news=False)  # nothing of it is on the CE
    killed_by_somebody(queue, number)
    queue.later(minutes=31)
    assert (await queue.run("heartbeat"))["kill orders"] == 1
    await queue.run("fetch-validate", "submit", "sweep-status", "heartbeat")
    assert (await queue.row(number)).state == P.CLOSED.value
    job = queue.book(number)
    assert (job.status, job.columns["pilotErrorCode"], job.finals) == ("cancelled", 1144, 1)
