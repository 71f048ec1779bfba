"""A job that has waited is asked about before it gets an attempt: a restored database may have forgotten one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas import bind
from act_core.atlas.books import Booked
from act_core.atlas.forgotten import after_asking, before_binding, is_ahead
from act_core.atlas.reports import JobStatus
from act_core.settings.app_model import AppSettings, Panda
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BOOKED, CE, House
from tests.atlas.test_best_before import both, on_ce

P = PandaState
STATUS = "get_job_status"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITED = replace(BOOKED, state=P.SENT, created=NOW - timedelta(hours=1), state_since=NOW - timedelta(hours=1))
DOUBTFUL = replace(WAITED, state=P.FORGOTTEN)


def says(status: str, attempt: int = 1) -> JobStatus:
    return JobStatus(7, status, attempt)


@pytest.mark.parametrize(
    ("said", "to"),
    [
        pytest.param(says("sent"), "bound", id="it waits for us"),
        pytest.param(says("starting"), "bound", id="a report that PanDA took"),
        pytest.param(says("activated"), "bound", id="nobody has it"),
        *(pytest.param(says(word), P.FORGOTTEN, id=word) for word in ("running", "transferring", "holding", "odd")),
        *(pytest.param(says(word), P.CLOSED, id=word) for word in ("finished", "failed", "cancelled", "closed")),
        pytest.param(says("running", 2), P.CLOSED, id="a later attempt"),
        pytest.param(says("sent", 0), None, id="books older than ours"),
        pytest.param(says("failed", 0), None, id="over in books older than ours"),
        pytest.param(says("not found", 0), None, id="PanDA does not know it"),
        pytest.param(None, None, id="PanDA does not say"),
    ],
)
def test_what_panda_says_of_a_job_that_has_waited(said: JobStatus | None, to: PandaState | str | None) -> None:
    change = before_binding(WAITED, said, NOW)
    assert (change.to if change else "bound") == to
    if change and to is not P.CLOSED:
        assert change.columns["check_due_at"] > NOW, "it is asked about again"


TOLD = replace(DOUBTFUL, told="starting", told_at=NOW - timedelta(minutes=10))
YOUNG = replace(DOUBTFUL, state_since=NOW)
OLD = replace(DOUBTFUL, state_since=NOW - Panda().forgottentime)


@pytest.mark.parametrize(
    ("row", "said", "strange", "to", "speaks"),
    [
        pytest.param(YOUNG, says("sent"), False, None, True, id="PanDA hears of it at once"),
        pytest.param(DOUBTFUL, says("sent"), False, P.SENT, False, id="never told, and no CE has anything strange"),
        pytest.param(DOUBTFUL, says("sent"), True, P.TOREPORT, True, id="a strange job may be this one"),
        pytest.param(TOLD, says("starting"), False, P.SENT, False, id="we have told PanDA since"),
        pytest.param(DOUBTFUL, says("starting"), False, None, False, id="somebody has told PanDA: we, and forgot it"),
        pytest.param(DOUBTFUL, says("running"), False, None, False, id="it runs"),
        pytest.param(OLD, says("running"), False, P.TOREPORT, True, id="for so long nothing runs"),
        pytest.param(OLD, says("starting"), False, P.TOREPORT, True, id="for so long nothing starts"),
        pytest.param(OLD, says("sent", 0), False, P.TOREPORT, True, id="books older than ours, for ever"),
        pytest.param(DOUBTFUL, says("failed"), False, P.CLOSED, False, id="over"),
        pytest.param(DOUBTFUL, says("sent", 2), False, P.CLOSED, False, id="a later attempt"),
        pytest.param(OLD, says("not found", 0), False, None, True, id="unknown: the answer to a heartbeat decides"),
        pytest.param(OLD, None, True, None, False, id="no answer"),
    ],
)
def test_what_panda_says_of_a_job_in_doubt(
    row: Booked, said: JobStatus | None, strange: bool, to: PandaState | None, speaks: bool
) -> None:
    change = after_asking(row, said, strange, AppSettings(), NOW)
    assert change.to == to
    assert (change.columns.get("heartbeat_due_at") is not None) is speaks
    if to is None:
        assert change.columns["check_due_at"] > NOW


@pytest.mark.parametrize("status", ["running", "holding", "transferring", "merging"])
def test_what_is_ahead_of_an_attempt_that_waits(status: str) -> None:
    assert is_ahead(WAITED, says(status))
    assert not is_ahead(WAITED, says(status, 2))


@pytest.mark.parametrize("said", [None, says("starting"), says("sent"), says("failed"), says("not found", 0)], ids=str)
def test_what_is_not(said: JobStatus | None) -> None:
    assert not is_ahead(WAITED, said)


# --- a stop -----------------------------------------------------------------------------------------------------------


async def test_a_job_that_was_taken_just_now_is_not_asked_about(queue: House) -> None:
    await queue.taken(3)
    await queue.fault(queue.panda, Kind.DOWN)
    assert await queue.run("translate") == {"bound": 3}


async def test_after_a_stop_panda_is_asked_then_told_and_then_the_job_is_sent(home: House) -> None:
    (number,) = await home.taken()
    await home.run("heartbeat")
    both(home, minutes=100)
    await home.run("translate", "submit")
    assert ((await home.row(number)).state, on_ce(home)) == (P.STARTING, 0)
    await home.run("heartbeat", "submit")
    assert (await home.attempt(number)).ce == CE


async def test_while_panda_does_not_say_the_old_ones_wait_and_the_new_ones_go(queue: House) -> None:
    (old,) = await queue.taken()
    both(queue, minutes=10)
    (new,) = await queue.taken()
    await queue.fault(queue.panda, Kind.ERROR, path=STATUS)
    assert await queue.run("translate") == {"bound": 1, "wait": 1}
    assert await queue.states() == {old: P.SENT.value, new: P.STARTING.value}
    assert await bind.due(queue.rt) == [], "PanDA is not stormed"
    await queue.panda.faults.remove()
    both(queue, minutes=1)
    assert await queue.run("translate") == {"bound": 1}


async def test_what_panda_does_not_know_any_more_ends_by_its_answer_to_the_heartbeat(queue: House) -> None:
    (number,) = await queue.taken()
    del queue.books.jobs[number]
    both(queue, minutes=10)
    await queue.run("translate")
    assert (await queue.row(number)).state == P.SENT
    await queue.run("heartbeat", "heartbeat")
    assert (await queue.row(number)).state == P.CLOSED
    assert await queue.attempts(number) == []
