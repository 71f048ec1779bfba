"""Jobs are taken once, booked before more are asked for, and never more than a queue can hold."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from sqlalchemy.orm import Session

from act_core.atlas import books, fetch_jobs
from act_core.atlas.cric import Queue
from act_core.atlas.fetch_jobs import label_for
from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.errors import Transient
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from act_core.work import MOST
from tests.atlas.house import ACQUIRE, QUEUE, House

FETCH = "fetch-jobs"
SENT = PandaState.SENT.value


async def test_each_job_is_taken_once(queue: House) -> None:
    numbers = queue.order(5, cores=4, kind="test")
    assert await queue.run(FETCH) == {"taken": 5}
    assert await queue.run(FETCH) == {}
    assert {queue.book(number).acquisitions for number in numbers} == {1}
    rows = await queue.rows()
    assert sorted(rows) == numbers
    row = rows[numbers[0]]
    assert (row.state, row.queue, row.attempt_nr, row.cores, row.label) == (SENT, QUEUE, 1, 4, "prod_test")
    assert row.server == queue.panda.url.removeprefix("https://")
    assert (row.wanted, row.told, row.report) == ("starting", None, None)
    assert row.heartbeat_due_at == row.created


async def test_one_call_asks_for_so_many_and_the_next_follows_at_once(queue: House) -> None:
    queue.configure(panda={"getjobs": 3})
    queue.order(5)
    assert await queue.run(FETCH) == {"taken": 3}
    assert await queue.run(FETCH) == {"taken": 2}


async def test_a_person_may_want_fewer(queue: House) -> None:
    queue.order(5)
    before = MOST.set(2)
    assert await queue.run(FETCH) == {"taken": 2}
    MOST.reset(before)
    assert await queue.run(FETCH) == {"taken": 3}


async def test_a_queue_gets_no_more_than_its_most(atlas: House) -> None:
    atlas.configure(cric={"maxjobs": 3})
    await atlas.serve()
    atlas.order(10)
    assert await atlas.run(FETCH, FETCH) == {"taken": 3}
    first = min(await atlas.rows())
    await atlas.run("translate")
    atlas.later(seconds=3)
    assert await atlas.run(FETCH) == {}  # bound ones count, too
    await atlas.change(first, state=PandaState.TOREPORT.value)
    atlas.later(seconds=3)
    assert await atlas.run(FETCH) == {"taken": 1}
    assert len(await atlas.rows()) == 4


async def test_a_queue_whose_jobs_wait_for_a_ce_gets_no_more(queue: House) -> None:
    queue.configure(panda={"minjobs": 4})
    queue.order(10)
    assert await queue.run(FETCH, FETCH) == {"taken": 4}
    queue.later(seconds=3)
    assert await queue.run("translate", FETCH) == {"bound": 4}
    for number in list(await queue.rows())[:2]:
        await queue.moved(number, "running")
    queue.later(seconds=3)
    assert await queue.run(FETCH) == {"taken": 2}


async def test_another_queues_jobs_take_no_room(atlas: House) -> None:
    atlas.configure(cric={"maxjobs": 3}, panda={"minjobs": 3})
    await atlas.serve()
    await atlas.serve(name="OTHER")
    await atlas.bound(3)
    atlas.order(5, queue="OTHER")
    assert await atlas.run(FETCH) == {"taken": 3}
    assert {row.queue for row in (await atlas.rows()).values()} == {QUEUE, "OTHER"}


async def test_only_queues_that_take_jobs_are_asked(atlas: House) -> None:
    for status in ("online", "offline", "test", "brokeroff", "paused", "standby"):
        await atlas.serve(name=f"Q_{status}", status=status)
        atlas.order(2, queue=f"Q_{status}", kind="test")
    await atlas.serve(name="Q_foreign", fields={"pilot_manager": "Harvester"})
    atlas.order(2, queue="Q_foreign")
    assert await fetch_jobs.due(atlas.rt) == ["Q_brokeroff", "Q_online", "Q_test"]
    await atlas.run(FETCH)
    assert {row.queue for row in (await atlas.rows()).values()} == {"Q_brokeroff", "Q_online", "Q_test"}
    taken = {job.order.queue for job in atlas.books.jobs.values() if job.acquisitions}
    assert taken == {"Q_brokeroff", "Q_online", "Q_test"}


async def test_a_queue_without_jobs_is_left_in_peace_for_a_while(queue: House) -> None:
    queue.configure(panda={"fetchpause": timedelta(seconds=30)})
    assert await queue.run(FETCH) == {}
    queue.order()
    queue.later(seconds=29)
    assert await fetch_jobs.due(queue.rt) == []
    queue.later(seconds=2)
    assert await queue.run(FETCH) == {"taken": 1}


async def test_jobs_of_a_lost_answer_are_not_booked_and_the_others_come_later(queue: House) -> None:
    queue.configure(panda={"getjobs": 2})
    numbers = queue.order(5)
    await queue.fault(queue.panda, Kind.ACCEPT_HANGUP, path=ACQUIRE, times=1)
    assert await queue.run(FETCH) == {"errors": 1}
    assert await queue.rows() == {}
    lost = [number for number in numbers if queue.book(number).acquisitions]
    assert len(lost) == 2
    assert "acquire_jobs" in str((await queue.queue()).trouble)
    queue.later(seconds=29)
    assert await fetch_jobs.due(queue.rt) == []  # it is not stormed
    queue.later(seconds=2)
    await queue.run(FETCH, FETCH)
    assert sorted(await queue.rows()) == sorted(set(numbers) - set(lost))
    assert {queue.book(number).acquisitions for number in numbers} == {1}
    assert (await queue.queue()).trouble is None


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERROR, Kind.MALFORMED_JSON])
async def test_trouble_with_panda_is_told_and_ends(queue: House, kind: Kind) -> None:
    numbers = queue.order(2)
    await queue.fault(queue.panda, kind, path=ACQUIRE)
    assert await queue.run(FETCH) == {"errors": 1}
    assert (await queue.queue()).trouble
    await queue.panda.faults.remove()
    queue.later(seconds=31)
    await queue.run(FETCH)
    kept = [number for number in numbers if number in await queue.rows()]
    assert len(kept) == (0 if kind is Kind.MALFORMED_JSON else 2)  # a spoilt answer had reserved them
    assert (await queue.queue()).trouble is None


async def test_trouble_that_lasts_is_asked_about_ever_more_rarely(queue: House) -> None:
    queue.order()
    await queue.fault(queue.panda, Kind.ERROR, status=403, path=ACQUIRE)
    for pause in (30, 60, 120, 240, 300, 300):
        assert await queue.run(FETCH) == {"errors": 1}
        queue.later(seconds=pause - 2)
        assert await queue.run(FETCH) == {}
        queue.later(seconds=3)
    await queue.panda.faults.remove()
    assert await queue.run(FETCH) == {"taken": 1}


# --- an answer in hand ------------------------------------------------------------------------------------------------


def break_down(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The database is away for so many tries to book."""
    tries = iter(range(times))

    def insert_jobs(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
        if next(tries, None) is not None:
            raise Transient("database: gone away")
        return books.insert_jobs(session, rows)

    stand_in = SimpleNamespace(insert_jobs=insert_jobs)
    monkeypatch.setattr(fetch_jobs, "books", stand_in)  # no simulated database goes away at a word
    monkeypatch.setattr(fetch_jobs, "PAUSES", (0.0, 0.0))


async def test_jobs_in_hand_outlive_a_database_that_is_away_for_a_moment(
    queue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = queue.order(2)
    break_down(monkeypatch, 2)
    assert await queue.run(FETCH) == {"taken": 2}
    assert sorted(await queue.rows()) == numbers


async def test_jobs_that_are_lost_are_named(
    queue: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = queue.order(2)
    break_down(monkeypatch, 3)
    assert await queue.run(FETCH) == {"errors": 1}
    (said,) = [one.getMessage() for one in caplog.records if "not booked" in one.getMessage()]
    assert all(str(number) in said for number in numbers)


async def test_who_is_stopped_while_it_books_has_booked(queue: House) -> None:
    numbers = queue.order(2)
    round_ = asyncio.create_task(fetch_jobs.fetch_jobs(queue.rt, QUEUE))

    async def stop() -> None:
        round_.cancel()

    async def call() -> None:
        queue.rt.meanwhile = stop

    queue.rt.meanwhile = call  # it is written down before it is made
    with pytest.raises(asyncio.CancelledError):
        await round_
    assert sorted(await queue.rows()) == numbers


async def test_who_is_stopped_while_the_answer_comes_books_it(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = queue.order(2)
    real = PandaV1.acquire_jobs

    async def acquire_jobs(*args: Any, **kwargs: Any) -> list[PandaJob | MalformedJob]:
        round_.cancel()
        return await real(*args, **kwargs)

    monkeypatch.setattr(PandaV1, "acquire_jobs", acquire_jobs)  # nothing else knows this moment
    round_ = asyncio.create_task(fetch_jobs.fetch_jobs(queue.rt, QUEUE))
    with pytest.raises(asyncio.CancelledError):
        await round_
    assert sorted(await queue.rows()) == numbers


async def test_many_long_jobs_are_booked_together(queue: House) -> None:
    queue.order(20, extra={"jobPars": "'" * 600_000})
    assert await queue.run(FETCH) == {"taken": 20}


async def test_a_job_that_cannot_be_read_fails_in_panda_and_the_others_live(queue: House) -> None:
    good = queue.order(2)
    (bad,) = queue.order(extra={"coreCount": "many"})
    assert await queue.run(FETCH) == {"taken": 3, "malformed": 1}
    assert await queue.states() == dict.fromkeys(good, SENT) | {bad: PandaState.TOREPORT.value}
    await queue.run("heartbeat")
    job = queue.book(bad)
    assert (job.status, job.columns["pilotErrorCode"]) == ("failed", 1008)
    assert "coreCount" in str(job.columns["pilotErrorDiag"])
    assert await queue.states() == dict.fromkeys(good, SENT) | {bad: PandaState.CLOSED.value}
    assert {queue.book(number).status for number in good} == {"starting"}


@pytest.mark.parametrize("number", [0, -5, "x", None, 2**63])
async def test_a_job_without_a_usable_number_blocks_nobody(queue: House, number: object) -> None:
    good, bad = queue.order(2)
    job = queue.book(bad)
    job.order = job.order.model_copy(update={"extra": {"PandaID": number}})
    assert await queue.run(FETCH) == {"taken": 1, "malformed": 1}
    assert list(await queue.rows()) == [good]
    assert await queue.run("heartbeat") == {"told": 1}


@pytest.mark.parametrize(("kind", "label"), [("unified", "unified"), ("analysis", "user"), ("production", "managed")])
def test_what_a_kind_of_queue_asks_for(kind: Literal["unified", "analysis", "production"], label: str) -> None:
    assert label_for(Queue(name="Q", schedconfig="Q", type=kind)) == label
