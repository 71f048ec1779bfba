"""An older copy of the database has come back: what was sent after it was made is not sent a second time."""

import pytest
from sqlalchemy import delete

from act_core.atlas import forgotten
from act_core.atlas.books import HARVESTER
from act_core.atlas.forgotten import STRANGE
from act_core.atlas.queues import in_doubt
from act_core.cli.panda import told
from act_core.db import orphans
from act_core.db.models import CeJob
from act_core.db.orphans import LISTS_READ
from act_core.db.panda_models import PandaRow
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import CE, QUEUE, House
from tests.atlas.test_best_before import both

P = PandaState


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


async def wait_again(house: House, *numbers: int) -> None:
    """The database is a copy from when these attempts waited to be sent; `act up` has noticed."""
    now = house.rt.now()
    gone = {"state": "tosubmit", "ce": None, "remote_id": None, "started_at": None, "send_deadline": None}
    for number in numbers:
        await house.moved(number, **gone, news=False, vouched_until=now)
        await house.change(number, state=P.STARTING.value, told="starting", wanted="starting", heartbeat_due_at=now)
    await house.rt.write(orphans.wait_after_restore, now)
    assert await house.rt.write(forgotten.restored, now) == 0


async def test_an_attempt_that_waits_in_a_restored_database_is_not_sent_beside_its_successor(home: House) -> None:
    """It failed after the backup, and another one followed, which runs: no list can tell."""
    number, fine = await home.running(), *(await home.bound())
    both(home, minutes=10)
    await wait_again(home, number, fine)
    for _ in range(8):
        await home.run("heartbeat", "submit", "reconcile-ces", "sweep-status")
        both(home, minutes=8)
    assert (await home.row(number)).state == P.FORGOTTEN
    attempt = await home.attempt(number)
    assert (attempt.state, attempt.remote_id) == ("cancelled", None)
    assert (await home.attempt(fine)).ce == CE, "PanDA has heard nothing else of it"
    home.books.kill([number], 9, home.clock.now())
    both(home, minutes=6)
    await home.run("heartbeat")
    assert ((await home.row(number)).state, home.book(number).finals) == (P.CLOSED, 0)
    assert (await home.attempt(number)).released_at is not None


async def test_an_attempt_that_a_list_brought_back_goes_on(queue: House) -> None:
    number = await queue.running()
    await wait_again(queue, number)
    await queue.moved(number, "submitted", ce=CE, remote_id="r1")
    both(queue, minutes=41)
    await queue.run("heartbeat", "heartbeat")
    assert (await queue.row(number)).state == P.STARTING
    assert (await queue.attempt(number)).request is None
    assert await forgotten.due_behind(queue.rt) == []


async def test_while_panda_does_not_say_what_waits_is_asked_about_again(queue: House) -> None:
    number = await queue.running()
    await wait_again(queue, number)
    both(queue, minutes=41)
    await queue.fault(queue.panda, Kind.ERROR, path="get_job_status")
    assert (await queue.run("heartbeat"))["errors"] == 1
    assert await forgotten.due_behind(queue.rt) == [], "PanDA is not stormed"
    await queue.panda.faults.remove()
    both(queue, minutes=2)
    await queue.run("heartbeat", "heartbeat")
    assert (await queue.row(number)).state == P.FORGOTTEN


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


async def test_more_rows_than_a_batch_are_put_in_doubt(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = await queue.taken(20)
    monkeypatch.setattr(forgotten, "BATCH", 7)
    assert await queue.rt.write(forgotten.restored, queue.rt.now()) == 20
    assert await queue.rt.write(forgotten.restored, queue.rt.now()) == 0
    assert await queue.states() == dict.fromkeys(numbers, P.FORGOTTEN.value)


@pytest.mark.parametrize("sent", [True, False], ids=["it is on a CE", "it never was"])
async def test_a_harvesters_job_waits_for_the_lists_and_is_sent_once(home: House, sent: bool) -> None:
    """PanDA is asked of none of these: what the CEs have decides."""
    number = await started(home) if sent else (await home.bound())[0]
    both(home, minutes=20)
    await restore(home, number, told=False)
    await home.change(number, reporter=HARVESTER, heartbeat_due_at=None)
    await home.rt.write(forgotten.restored, home.rt.now())
    await run_all(home, 1)
    assert ((await home.row(number)).state, await home.attempts(number)) == (P.SENT, [])
    home.later(minutes=46)
    await home.run("reconcile-ces", "translate")
    row = await home.row(number)
    assert (row.state, row.error) == ((P.TOREPORT, STRANGE) if sent else (P.STARTING, None))
