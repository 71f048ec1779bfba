"""What a CE's word on a job means, and what its silence means."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Facts, RemoteId, Seen
from act_core.db.attempts import Attempt
from act_core.decisions import Move, Stay
from act_core.engine import poll as step
from act_core.engine.poll import RESTART_SETTLES, after_look, after_poll, poll, with_facts
from act_core.engine.settling import SIGHTINGS
from act_core.errors import Transient
from act_core.states import CeState, Request
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
PATIENCE = timedelta(hours=1)


def test_absent_for_the_first_time(attempt: Make, now: datetime) -> None:
    assert after_poll(attempt(S.RUNNING), None, now, PATIENCE, now) == Stay({"absent_since": now})


@pytest.mark.parametrize(
    ("absent_for", "lost"),
    [
        pytest.param(timedelta(minutes=59), False, id="within its patience"),
        pytest.param(PATIENCE, False, id="at the end of its patience"),
        pytest.param(PATIENCE + timedelta(seconds=1), True, id="past its patience"),
    ],
)
def test_absent_again(attempt: Make, now: datetime, absent_for: timedelta, lost: bool) -> None:
    looked = now - timedelta(minutes=1)
    decision = after_poll(attempt(S.RUNNING, absent_since=now - absent_for), None, now, PATIENCE, looked)
    assert decision is None or isinstance(decision, Move)
    assert (decision.to if decision else None) is (S.LOST if lost else None)


def test_time_in_which_nobody_looked_proves_nothing(attempt: Make, now: datetime) -> None:
    missed = attempt(S.RUNNING, absent_since=now - timedelta(hours=5))
    decision = after_poll(missed, None, now, PATIENCE, now - timedelta(hours=5))
    assert decision == Stay({"absent_since": now - PATIENCE / SIGHTINGS})


def test_few_answers_far_apart_are_enough_in_the_end(attempt: Make, now: datetime) -> None:
    missed, looked, sightings = attempt(S.RUNNING, absent_since=now), now, 1
    while True:
        now, sightings = now + timedelta(hours=2), sightings + 1
        decision = after_poll(missed, None, now, PATIENCE, looked)
        if isinstance(decision, Move):
            break
        assert decision is not None
        missed, looked = attempt(S.RUNNING, **decision.columns), now
    assert decision.to is S.LOST
    assert sightings == SIGHTINGS + 2


def test_back_again(attempt: Make, now: datetime) -> None:
    decision = after_poll(attempt(S.RUNNING, absent_since=now), Seen(S.RUNNING, "R"), now, PATIENCE, now)
    assert decision == Stay({"absent_since": None})


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        pytest.param(S.RUNNING, S.RUNNING, id="nothing new"),
        pytest.param(S.RUNNING, S.SUBMITTED, id="an old answer"),
        pytest.param(S.RUNNING, None, id="an unknown word"),
        pytest.param(S.CANCELLING, S.RUNNING, id="still running while being killed"),
        pytest.param(S.CANCELLING, None, id="an unknown word while being killed"),
        pytest.param(S.FINISHING, S.RUNNING, id="back from the end"),
        pytest.param(S.FAILED, S.FINISHED, id="over already"),
    ],
)
def test_words_that_move_nothing(attempt: Make, now: datetime, state: CeState, seen: CeState | None) -> None:
    assert after_poll(attempt(state), Seen(seen, "?"), now, PATIENCE, now) is None


@pytest.mark.parametrize(
    ("state", "seen", "to"),
    [
        pytest.param(S.SUBMITTED, S.RUNNING, S.RUNNING, id="it starts"),
        pytest.param(S.SUBMITTED, S.FINISHED, S.FINISHED, id="states are skipped"),
        pytest.param(S.SUBMITTED, S.HOLDING, S.HOLDING, id="held"),
        pytest.param(S.HOLDING, S.SUBMITTED, S.SUBMITTED, id="let go"),
        pytest.param(S.RUNNING, S.HOLDING, S.HOLDING, id="held while running"),
        pytest.param(S.FINISHING, S.FAILED, S.FAILED, id="stage-out failed"),
        pytest.param(S.CANCELLING, S.CANCELLED, S.CANCELLED, id="the kill is confirmed"),
        pytest.param(S.CANCELLING, S.FINISHED, S.FINISHED, id="it ended before the kill"),
        pytest.param(S.CANCELLING, S.FAILED, S.CANCELLED, id="a killed job that is told as failed"),
        pytest.param(S.RUNNING, S.CANCELLED, S.CANCELLED, id="somebody else killed it"),
    ],
)
def test_words_that_move(attempt: Make, now: datetime, state: CeState, seen: CeState, to: CeState) -> None:
    decision = after_look(attempt(state), Seen(seen, "WORD"), now)
    assert isinstance(decision, Move)
    assert decision.to is to
    assert decision.columns["native_state"] == "WORD"
    assert decision.columns["absent_since"] is None


def test_a_running_job_has_its_inputs(attempt: Make, now: datetime) -> None:
    decision = after_look(attempt(S.SUBMITTED, due_at=now), Seen(S.RUNNING, "R"), now)
    assert decision is not None
    assert decision.columns["inputs_sent_at"] == now
    assert decision.columns["due_at"] is None


def test_a_held_job_still_waits_for_its_inputs(attempt: Make, now: datetime) -> None:
    decision = after_look(attempt(S.SUBMITTED, due_at=now), Seen(S.HOLDING, "H"), now)
    assert decision is not None
    assert decision.columns["due_at"] == now
    assert "inputs_sent_at" not in decision.columns


@pytest.mark.parametrize(
    ("request_", "state", "seen", "heard"),
    [
        pytest.param(Request.CANCEL, S.CANCELLING, S.CANCELLED, True, id="cancelled as wished"),
        pytest.param(Request.CANCEL, S.RUNNING, S.FINISHED, True, id="ended before the kill"),
        pytest.param(Request.CANCEL, S.SUBMITTED, S.RUNNING, False, id="still to be killed"),
        pytest.param(Request.RESUBMIT, S.CANCELLING, S.CANCELLED, False, id="resubmit goes on"),
        pytest.param(Request.CLEAN, S.CANCELLING, S.CANCELLED, False, id="clean goes on"),
        pytest.param(Request.FETCH, S.RUNNING, S.FAILED, False, id="fetch goes on"),
    ],
)
def test_which_wishes_an_end_fulfils(
    attempt: Make, now: datetime, request_: Request, state: CeState, seen: CeState, heard: bool
) -> None:
    decision = after_look(attempt(state, request=request_), Seen(seen, "W"), now)
    assert decision is not None
    assert decision.wish_done is heard


@pytest.mark.parametrize(
    ("reruns", "since", "believed"),
    [
        pytest.param(1, RESTART_SETTLES / 2, False, id="just restarted: the old end"),
        pytest.param(1, RESTART_SETTLES, True, id="restarted a while ago: a new end"),
        pytest.param(0, timedelta(0), True, id="never restarted"),
    ],
)
def test_an_end_just_after_our_restart(
    attempt: Make, now: datetime, reruns: int, since: timedelta, believed: bool
) -> None:
    restarted = attempt(S.SUBMITTED, reruns=reruns, state_since=now - since)
    assert (after_look(restarted, Seen(S.FAILED, "F"), now) is not None) is believed


def test_the_document_joins_the_move(now: datetime) -> None:
    move = with_facts(Move(S.FAILED, "F", {"native_state": "F"}), Facts(exit_code=3, error="bad", wall_s=7, ended=now))
    assert move.columns["native_state"] == "F"
    assert (move.columns["exit_code"], move.columns["error"], move.columns["wall_s"]) == (3, "bad", 7)
    assert move.columns["ended_at"] == now


def test_without_a_document_the_move_stays_as_it_is() -> None:
    move = Move(S.FAILED, "F")
    assert with_facts(move, None) is move


async def _ended(house: House, n: int) -> list[RemoteId]:
    jobs = await house.jobs(n, S.RUNNING)
    for job in jobs:
        house.end.world.jobs[job].state = "FINISHED"
    return jobs


async def test_one_dark_document_costs_its_chunk_the_facts_and_nobody_the_state(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "CHUNK", 2)
    jobs = await _ended(house, 6)
    house.end.dark[jobs[3]] = Transient("500")
    await poll(house, CE)
    assert await house.states() == dict.fromkeys(jobs, "finished")
    assert [row.wall_s for row in await house.rows()] == [1, 1, None, None, None, None]


async def test_what_a_chunk_told_is_settled_before_the_next_one_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "CHUNK", 2)
    jobs = await _ended(house, 4)
    house.end.dark[jobs[3]] = ValueError("the worker dies")
    with pytest.raises(ValueError, match="dies"):
        await poll(house, CE)
    assert [row.state for row in await house.rows()] == ["finished", "finished", "running", "running"]


async def test_ended_jobs_are_remembered_as_long_as_the_ce_lists_them(house: House) -> None:
    jobs = await _ended(house, 3)
    for _ in range(3):
        await poll(house, CE)
    assert house.memory(CE).ended_seen == set(jobs)
    del house.end.world.jobs[jobs[0]]
    await poll(house, CE)
    assert house.memory(CE).ended_seen == set(jobs[1:])


async def test_an_outage_between_two_answers_loses_no_job(house: House) -> None:
    jobs = await house.jobs(2, S.RUNNING)
    house.end.world.jobs.clear()
    await poll(house, CE)
    house.ahead = timedelta(hours=7)
    await poll(house, CE)
    assert await house.states() == dict.fromkeys(jobs, "running")
    for _ in range(3 * SIGHTINGS):
        house.ahead += timedelta(minutes=10)
        await poll(house, CE)
    assert await house.states() == dict.fromkeys(jobs, "lost")
