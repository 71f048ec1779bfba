"""A job that has waited is asked about before it gets an attempt: a restored database may have forgotten one."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from act_core.atlas import bind, forgotten
from act_core.atlas.books import Booked
from act_core.atlas.forgotten import STRANGE, after_asking, before_binding, in_doubt
from act_core.atlas.reports import JobStatus
from act_core.cli.panda import told
from act_core.db.models import CeJob
from act_core.db.orphans import LISTS_READ
from act_core.db.panda_models import PandaRow
from act_core.settings.app_model import Panda
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BOOKED, CE, QUEUE, House
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
    change = after_asking(row, said, strange, Panda(), NOW)
    assert change.to == to
    assert (change.columns.get("heartbeat_due_at") is not None) is speaks
    if to is None:
        assert change.columns["check_due_at"] > NOW


# --- a stop -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def home(queue: House, end_all: Callable[..., Any]) -> AsyncIterator[House]:
    """A tower whose payloads really run, and that leaves no process behind."""
    queue.lay_out_pilot()
    yield queue
    await end_all(await queue.rt.ce(CE), queue.rt.settings.state_dir / "local" / CE)


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


# --- a restored database ----------------------------------------------------------------------------------------------


async def restore(house: House, *numbers: int, told: bool = True) -> None:
    """The database is a copy from before these jobs were bound; `told`: `act up` has noticed."""
    taken = {"state": P.SENT.value, "told": None, "told_at": None, "wanted": "starting", "reporter": "tower"}
    for number in numbers:
        created = (await house.row(number)).created
        await house.change(number, **taken, state_since=created, heartbeat_due_at=created, started_at=None, ce=None)
    gone = delete(CeJob).where(CeJob.app_job_id.in_([f"{number}.1" for number in numbers]))
    await house.rt.write(lambda session: session.execute(gone) and None)
    if told:
        assert await house.rt.write(forgotten.restored, house.rt.now()) == len(numbers)


async def run_all(house: House, times: int = 3) -> None:
    for _ in range(times):
        await house.run("translate", "heartbeat", "submit", "sweep-status", "reconcile-ces")


async def started(house: House) -> int:
    """A job whose payload runs at the CE; PanDA has heard that it was sent."""
    (number,) = await house.bound()
    await house.run("heartbeat", "submit")
    assert (await house.attempt(number)).state == "submitted"
    return number


@pytest.mark.parametrize("noticed", [True, False], ids=["act up has noticed it", "nobody has noticed it"])
async def test_a_job_that_runs_after_a_restore_is_not_sent_a_second_time(queue: House, noticed: bool) -> None:
    number = await queue.running()
    both(queue, minutes=30)
    await restore(queue, number, told=noticed)
    for _ in range(3):
        await run_all(queue)
        both(queue, minutes=20)
    assert ((await queue.row(number)).state, await queue.attempts(number)) == (P.FORGOTTEN, [])
    assert await queue.rt.read(in_doubt) == {QUEUE: 1}
    assert "PanDA says that it is running" in str((await queue.row(number)).error)
    assert [one.status for one in queue.book(number).updates] == ["running"], "nobody speaks for it"
    both(queue, hours=2)
    assert queue.book(number).status == "failed", "nobody spoke for it, and PanDA's watcher has ended it"
    await run_all(queue)
    assert (await queue.row(number)).state == P.CLOSED
    assert queue.book(number).finals == 0


async def test_a_job_that_was_sent_after_the_backup_runs_exactly_once(home: House) -> None:
    number = await started(home)
    await home.run("sweep-status")
    both(home, minutes=20)
    await restore(home, number)
    for _ in range(8):
        await run_all(home, 1)
        both(home, minutes=20)
    await home.run("heartbeat")
    listed = await (await home.rt.ce(CE)).list_mine(home.rt.tower, frozenset())
    assert len(listed.mine) == 1, "the CE has been given one job"
    assert await home.attempts(number) == []
    assert home.book(number).status == "failed"
    assert (await home.row(number)).state == P.CLOSED
    assert home.book(number).acquisitions == 1


async def test_a_job_that_was_never_sent_is_sent_when_the_lists_have_been_read(home: House) -> None:
    (number,) = await home.taken()
    both(home, minutes=10)
    await restore(home, number)
    await run_all(home)
    assert (await home.row(number)).state == P.FORGOTTEN
    assert home.book(number).status == "starting", "PanDA waits for it"
    assert await home.attempts(number) == []
    both(home, minutes=LISTS_READ.total_seconds() / 60)
    await run_all(home)
    assert (await home.attempt(number)).ce == CE
    assert home.book(number).status != "failed"


async def test_a_job_that_panda_never_heard_of_goes_back_if_a_strange_one_is_on_a_ce(home: House) -> None:
    (number,) = await home.bound()
    await home.run("submit")  # PanDA took no report
    both(home, minutes=5)
    await restore(home, number)
    await run_all(home)
    assert home.book(number).status == "starting"
    both(home, minutes=LISTS_READ.total_seconds() / 60)
    await run_all(home)
    row = await home.row(number)
    assert (row.state, row.error) == (P.CLOSED, STRANGE)
    assert home.book(number).status == "failed"
    assert await home.attempts(number) == []


async def test_the_newer_database_comes_back(queue: House) -> None:
    """What was kept meanwhile has its attempt again."""
    number = await queue.running()
    kept = await queue.row(number)
    attempt = await queue.attempt(number)
    await restore(queue, number)
    await run_all(queue)
    columns = {column.name: getattr(kept, column.name) for column in PandaRow.__table__.columns}
    values = {name: value for name, value in columns.items() if name not in ("id", "version")}
    await queue.change(number, **values)
    row = {column.name: getattr(attempt, column.name) for column in CeJob.__table__.columns}
    await queue.rt.write(lambda session: session.merge(CeJob(**row)) and None)
    await queue.ended(number, "done")
    await queue.run("fetch-validate", "heartbeat")
    assert queue.book(number).status == "finished"


async def test_a_kill_order_ends_a_job_in_doubt(queue: House) -> None:
    (number,) = await queue.taken()
    both(queue, minutes=10)
    await restore(queue, number)
    await queue.run("heartbeat")
    queue.books.kill([number], 9, queue.clock.now())
    await queue.change(number, heartbeat_due_at=queue.rt.now())
    await queue.run("heartbeat", "heartbeat")
    assert (await queue.row(number)).state == P.CLOSED


def test_jobs_in_doubt_are_told() -> None:
    (line,) = told({"lost": [], "forgotten": {QUEUE: 3}})
    assert line == f"{QUEUE}: 3 jobs may be on a CE already, and no attempt stands for them (docs/safety.md)"


async def test_a_thousand_rows_are_put_in_doubt_in_few_statements(queue: House) -> None:
    numbers = await queue.taken(20)
    await queue.rt.write(lambda session: session.execute(update(PandaRow).values(check_due_at=None)) and None)
    assert await queue.rt.write(forgotten.restored, queue.rt.now()) == 20
    assert await queue.rt.write(forgotten.restored, queue.rt.now()) == 0
    assert set((await queue.states()).values()) == {P.FORGOTTEN.value}
    assert len(numbers) == 20
