"""A true pilot reports itself: the tower until the CE says running, then only the end of which PanDA never heard."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.atlas.awaited import AGAIN, STILL_WAITS, after_asking
from act_core.atlas.books import PILOT, TRANSFERRING, Booked
from act_core.atlas.instance import panda
from act_core.atlas.mirror import Heard, Home, heard
from act_core.atlas.reports import JobStatus, Update
from act_core.db.models import CeJob
from act_core.settings.model import Settings
from act_core.simulators.faults import Kind
from act_core.states import FINAL, CeState, PandaState, Request
from tests.atlas.house import BOOKED, CE, House

C, P = CeState, PandaState
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROW = replace(BOOKED, reporter=PILOT)
OPEN = (P.STARTING, P.RUNNING, P.TRANSFERRING)


def row(state: PandaState) -> Booked:
    return replace(ROW, state=state)


def news(state: CeState, panda: PandaState, **columns: Any) -> Heard:
    known = {"state": state.value, "ce": CE, "created": NOW, "remote_id": "df1"} | columns
    return heard(CeJob(**known), row(panda), Home(), Settings(state_dir=Path("s")), NOW)


@pytest.mark.parametrize(
    ("state", "panda", "to"),
    [
        (C.RUNNING, P.STARTING, P.RUNNING),
        (C.FINISHING, P.STARTING, P.TRANSFERRING),
        (C.FINISHED, P.RUNNING, P.TRANSFERRING),
    ],
)
def test_from_running_on_no_heartbeat_is_due(state: CeState, panda: PandaState, to: PandaState) -> None:
    change = news(state, panda).change
    assert change is not None
    assert (change.to, change.columns["heartbeat_due_at"]) == (to, None)


@pytest.mark.parametrize("panda", OPEN)
@pytest.mark.parametrize("state", sorted(FINAL))
def test_when_the_ce_job_is_over_the_pilots_word_is_awaited(state: CeState, panda: PandaState) -> None:
    change = news(state, panda, error="the batch system killed it").change
    assert change is not None
    assert change.to is P.AWAITING
    assert change.columns["heartbeat_due_at"] is None
    assert change.columns["check_due_at"] == NOW + timedelta(minutes=20)
    report = json.loads(change.columns["report"])
    assert (report["job_status"], report["pilot_error_diag"]) == ("failed", "the batch system killed it")


@pytest.mark.parametrize("state", [C.VOID, C.CANCELLED, C.DONEFAILED])
def test_a_job_that_was_at_no_ce_has_no_pilot_to_wait_for(state: CeState) -> None:
    change = news(state, P.STARTING, remote_id=None).change
    assert change is not None
    assert (change.to, change.columns["heartbeat_due_at"]) == (P.TOREPORT, NOW)


def test_what_panda_wanted_dead_is_reported_at_once() -> None:
    change = news(C.CANCELLED, P.TOKILL).change
    assert change is not None
    assert change.to is P.TOREPORT
    assert json.loads(change.columns["report"])["pilot_error_code"] == 1144


def test_while_it_is_awaited_only_the_ce_is_cleaned() -> None:
    assert news(C.DONE, P.AWAITING) == Heard(wish=Request.CLEAN)


@pytest.mark.parametrize("said", sorted(STILL_WAITS))
def test_only_what_panda_still_waits_for_is_reported(said: str) -> None:
    change = after_asking(row(P.AWAITING), JobStatus(7, said, 1), NOW)
    known = {"told": said} if said == TRANSFERRING else {}
    assert (change.to, change.columns) == (P.TOREPORT, {"heartbeat_due_at": NOW, "check_due_at": None} | known)


@pytest.mark.parametrize("said", ["finished", "failed", "cancelled", "closed", "not found"])
def test_of_what_panda_has_heard_nothing_is_said(said: str) -> None:
    change = after_asking(row(P.AWAITING), JobStatus(7, said, 1), NOW)
    assert (change.to, change.columns["told"]) == (P.CLOSED, said)
    assert ("error" in change.columns) is (said == "finished")


def test_another_attempt_in_panda_is_not_ours_to_speak_of() -> None:
    assert after_asking(row(P.AWAITING), JobStatus(7, "running", 2), NOW).to is P.CLOSED


@pytest.mark.parametrize("said", [None, JobStatus(7, "holding", 1), JobStatus(7, "merging", 1)])
def test_while_panda_does_not_say_how_it_ended_it_is_asked_again(said: JobStatus | None) -> None:
    """What is `holding` may be a success yet: it is none that PanDA has taken back."""
    change = after_asking(row(P.AWAITING), said, NOW)
    assert (change.to, change.columns) == (None, {"check_due_at": NOW + AGAIN})


# --- against a simulated PanDA ---------------------------------------------------------------------------------------


@pytest.fixture
async def true(atlas: House) -> House:
    """A tower that serves a true-pilot queue."""
    await atlas.serve(native=False)
    return atlas


async def running(house: House) -> int:
    """A job whose pilot has begun."""
    (number,) = await house.bound()
    await house.run("heartbeat")
    await house.moved(number, "running", ce=CE, node="wn7", remote_id="df1")
    await house.tower.news()
    return number


async def pilot_says(house: House, number: int, word: Any) -> None:
    names = str(house.books.describe(house.books.jobs[number])["outFiles"]).split(",")
    file = {"guid": "a-b", "fsize": 1, "adler32": "00000001", "surl": "davs://se/x", "endpoint": "SE"}
    outputs = json.dumps(dict.fromkeys(names, file)) if word == "finished" else None
    update = Update(job_id=number, job_status=word, attempt_nr=1, node="pilot's", job_output_report=outputs)
    await panda(house.rt).update_jobs_bulk([update])


async def test_the_tower_speaks_until_it_runs_and_then_nothing_at_all(true: House) -> None:
    (number,) = await true.bound()
    attempt, booked = await true.attempt(number), await true.row(number)
    assert (attempt.attempts_left, booked.reporter) == (0, PILOT)
    await true.run("heartbeat")
    assert true.book(number).status == "starting"
    await true.moved(number, "running", ce=CE, node="wn7", remote_id="df1")
    assert (await true.tower.news())["panda running"] == 1
    assert (await true.attempt(number)).vouched_until is None, "no report of ours will speak for it any more"
    for _ in range(5):
        true.later(minutes=31)
        assert await true.run("heartbeat") == {}
    assert true.book(number).status == "starting", "only the pilot says that it runs"


@pytest.mark.parametrize("word", ["finished", "failed"])
async def test_an_end_that_the_pilot_told_is_not_told_again(true: House, word: str) -> None:
    number = await running(true)
    await pilot_says(true, number, "running")
    await pilot_says(true, number, word)
    await true.moved(number, "done")
    assert (await true.tower.news())["panda awaiting"] == 1
    assert await true.run("heartbeat") == {}
    true.later(minutes=21)
    assert await true.run("heartbeat") == {"ended by pilots": 1}
    booked = await true.row(number)
    assert (booked.state, booked.told, booked.error) == (P.CLOSED, word, None if word == "finished" else booked.error)
    assert true.book(number).finals == 1
    assert (await true.attempt(number)).released_at is not None


async def test_an_end_of_which_panda_heard_nothing_is_told_once(true: House) -> None:
    number = await running(true)
    await pilot_says(true, number, "running")
    await true.moved(number, "donefailed", error="the batch system killed it: out of memory")
    await true.tower.news()
    true.later(minutes=19)
    assert await true.run("heartbeat") == {}
    true.later(minutes=2)
    assert await true.run("heartbeat") == {"pilots silent": 1}
    assert await true.run("heartbeat") == {"told": 1, "final": 1}
    job = true.book(number)
    assert (job.status, job.finals) == ("failed", 1)
    assert job.columns["pilotErrorDiag"] == "the batch system killed it: out of memory"
    assert len(await true.attempts(number)) == 1, "PanDA sends such a job anew, and not we"
    assert (await true.row(number)).state == P.CLOSED


async def test_while_panda_is_away_the_question_stays(true: House) -> None:
    number = await running(true)
    await true.moved(number, "donefailed", error="lost its node")
    await true.tower.news()
    true.later(minutes=21)
    await true.fault(true.panda, Kind.DOWN)
    assert (await true.run("heartbeat"))["errors"] >= 1
    assert (await true.row(number)).state == P.AWAITING
    await true.panda.faults.remove()
    true.later(minutes=6)
    assert (await true.run("heartbeat"))["pilots silent"] == 1


@pytest.mark.parametrize("good", [True, False], ids=["its outputs move on", "it has died"])
async def test_what_panda_calls_transferring_is_told_failed_only_if_no_end_was_told(true: House, good: bool) -> None:
    true.books.patience = replace(true.books.patience, ddm=timedelta(hours=9))
    number = await running(true)
    for word in ("running", "transferring", *(["finished"] if good else [])):
        await pilot_says(true, number, word)
    await true.moved(number, "done")
    await true.tower.news()
    true.later(minutes=21)
    assert await true.run("heartbeat") == {"pilots silent": 1}
    assert await true.run("heartbeat") == {"told": 1, "final": 1}
    booked, job = await true.row(number), true.book(number)
    assert (booked.state, booked.told, job.finals) == (P.CLOSED, "finished" if good else "failed", 1)
    assert job.status == ("transferring" if good else "failed")
