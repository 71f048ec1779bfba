"""PanDA's page of a job shows where it is: workers are registered and linked, and never in the way of reports."""

import asyncio
from typing import Any

import pytest

from act_core.atlas import heartbeat, workers
from act_core.atlas.instance import server_of
from act_core.db.models import CeJob
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BULK, CE, QUEUE, House
from tests.atlas.statements import heard_statements

P = PandaState
WORKERS = "update_workers"


@pytest.fixture
def linked(queue: House) -> House:
    """A tower that registers its attempts."""
    queue.configure(panda={"workers": True}, joblog={"urlprefix": "https://logs.example.org"})
    return queue


async def at_ce(house: House, n: int = 1, state: str = "submitted", **more: object) -> list[int]:
    """Jobs that have reached the CE; the news are old enough to be told."""
    numbers = await house.bound(n)
    for number in numbers:
        await house.moved(number, state, ce=CE, remote_id=f"r{number}", **more)
    await house.tower.news()
    house.later(seconds=6)
    return numbers


async def moved(house: House, number: int, state: str, **columns: object) -> None:
    await house.moved(number, state, **columns)
    await house.tower.news()
    house.later(seconds=6)


def told(house: House) -> list[tuple[Any, Any]]:
    return [(one.worker["workerID"], one.worker["status"]) for one in house.workers.told]


async def test_the_page_of_a_job_shows_its_ce_and_where_to_look(linked: House) -> None:
    (number,) = await at_ce(linked)
    attempt, row = await linked.attempt(number), await linked.row(number)
    assert await linked.run("heartbeat") == {"told": 1, "workers": 1}
    ((worker, held),) = linked.workers.of_job(number).items()
    assert worker == attempt.id
    assert (held["computingElement"], held["batchID"], held["status"]) == (CE, f"r{number}", "submitted")
    assert held["stdOut"] == f"https://logs.example.org/{row.created:%Y-%m-%d}/{QUEUE}/{number}.out"
    await moved(linked, number, "running", node="wn7")
    assert await linked.run("heartbeat") == {"told": 1, "workers": 1}
    assert linked.book(number).columns["computingElement"] == CE
    assert linked.workers.of_job(number)[worker]["nodeID"] == "wn7"
    assert set(linked.workers.workers) == set(linked.workers.instances) == {f"act-{linked.rt.tower}"}


async def test_only_what_changes_is_told(linked: House) -> None:
    (number,) = await at_ce(linked, state="running")
    await linked.run("heartbeat")
    await moved(linked, number, "running")  # news, of which nothing is new to PanDA
    assert await workers.due(linked.rt) == [server_of(linked.rt)]
    assert await linked.run("heartbeat") == {"told": 1}
    assert await workers.due(linked.rt) == []
    linked.later(minutes=31)
    assert await linked.run("heartbeat") == {"told": 1}
    assert len(linked.workers.told) == 1


async def test_an_attempt_that_never_reached_a_ce_is_no_worker(linked: House) -> None:
    (number,) = await linked.bound()
    await moved(linked, number, "cancelled")
    await linked.run("heartbeat")
    assert linked.workers.told == []
    assert (await linked.row(number)).worker_due_at is None


async def test_each_attempt_is_a_worker_and_the_job_shows_the_last(linked: House) -> None:
    (number,) = await at_ce(linked, state="running")
    await linked.run("heartbeat")
    first = await linked.attempt(number)
    await linked.moved(number, "lost", superseded_by="next")
    kept = {column.name: getattr(first, column.name) for column in CeJob.__table__.columns if column.name != "id"}
    fresh = {"attempt": 2, "submission_key": "next", "ce": "there", "remote_id": "r2", "state": "submitted"}
    await linked.rt.write(lambda session: session.add(CeJob(**kept | fresh | {"news": True, "superseded_by": None})))
    await linked.tower.news()
    linked.later(seconds=6)
    assert (await linked.run("heartbeat"))["workers"] == 2
    second = (await linked.attempts(number))[1].id
    assert told(linked) == [(first.id, "running"), (first.id, "missed"), (second, "submitted")]
    linked.later(minutes=31)
    await linked.run("heartbeat")
    assert linked.book(number).columns["computingElement"] == "there"


async def test_what_was_told_outlives_a_restart(linked: House) -> None:
    (number,) = await at_ce(linked)
    await linked.run("heartbeat")
    for kept in linked.rt._kept.values():
        await kept.part.close()
    linked.rt._kept.clear()  # what a process remembers
    await moved(linked, number, "submitted")
    await linked.run("heartbeat")
    assert len(linked.workers.told) == 1


async def test_a_true_pilots_job_is_linked_to_its_end(atlas: House) -> None:
    await atlas.serve(native=False)
    atlas.configure(panda={"workers": True})
    (number,) = await at_ce(atlas, state="running")
    await atlas.run("heartbeat")
    await moved(atlas, number, "done")
    await atlas.run("heartbeat")
    assert (await atlas.row(number)).reporter == "pilot"
    assert [status for _, status in told(atlas)] == ["running", "finished"]
    assert "batchID" not in atlas.book(number).columns  # the pilot's own: with another one PanDA kills the job


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_one_that_is_refused_costs_the_others_nothing(linked: House) -> None:
    first, second = await at_ce(linked, 2)
    bad, good = (await linked.attempt(first)).id, (await linked.attempt(second)).id
    linked.workers.bad.add(bad)
    assert await linked.run("heartbeat") == {"told": 2, "workers": 1, "workers refused": 1}
    assert [(await linked.row(number)).worker_id for number in (first, second)] == [None, good]
    await linked.change(first, heartbeat_due_at=None)
    await linked.change(second, heartbeat_due_at=None)
    linked.later(minutes=29)
    assert await linked.run("heartbeat") == {}
    linked.workers.bad.clear()
    linked.later(minutes=2)
    assert await linked.run("heartbeat") == {"workers": 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": Kind.ERROR},
        {"kind": Kind.EMPTY},
        {"kind": Kind.ERROR, "status": 403},
        {"kind": Kind.ERROR, "status": 404},
    ],
    ids=str,
)
async def test_trouble_with_workers_is_no_trouble_of_heartbeats(linked: House, fault: dict[str, Any]) -> None:
    numbers = await at_ce(linked, 3)
    await linked.fault(linked.panda, path="harvester/", **fault)
    assert await linked.run("heartbeat") == {"told": 3, "errors": 1}
    assert await linked.run("heartbeat") == {}  # a pause of its own
    await linked.change(numbers[0], heartbeat_due_at=linked.rt.now())
    assert await linked.run("heartbeat") == {"told": 1}
    await linked.panda.faults.remove()
    linked.later(seconds=31)
    assert await linked.run("heartbeat") == {"workers": 3}


async def test_a_call_that_hangs_holds_up_no_report(linked: House) -> None:
    """Not even where reports have one call at a time."""
    linked.configure(panda={"threads": 1})
    await at_ce(linked, 2)
    await linked.fault(linked.panda, Kind.HANG, path="harvester/")
    hanging = asyncio.create_task(workers.register(linked.rt, server_of(linked.rt)))
    beating = asyncio.create_task(heartbeat.heartbeat(linked.rt, server_of(linked.rt)))
    done, _ = await asyncio.wait({hanging, beating}, return_when=asyncio.FIRST_COMPLETED)
    assert done == {beating}
    assert beating.result() == {"told": 2}
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_trouble_of_heartbeats_is_no_trouble_with_workers(linked: House) -> None:
    await at_ce(linked, 2)
    await linked.fault(linked.panda, Kind.ERROR, path=BULK)
    assert await linked.run("heartbeat") == {"errors": 1, "workers": 2}


async def test_news_that_come_while_panda_is_told_are_told_next(linked: House) -> None:
    (number,) = await at_ce(linked)

    async def runs() -> None:
        await moved(linked, number, "running")

    linked.rt.meanwhile = runs
    assert await workers.register(linked.rt, server_of(linked.rt)) == {"workers": 1}
    assert (await linked.row(number)).worker_due_at is not None
    assert await workers.register(linked.rt, server_of(linked.rt)) == {"workers": 1}
    assert [status for _, status in told(linked)] == ["submitted", "running"]


async def test_registering_does_not_make_a_reports_answer_stale(linked: House) -> None:
    (number,) = await at_ce(linked)
    before = (await linked.row(number)).version
    assert await workers.register(linked.rt, server_of(linked.rt)) == {"workers": 1}
    assert (await linked.row(number)).version == before


async def test_statements_do_not_grow_with_the_jobs(linked: House) -> None:
    sent = {}
    for n in (1, 40):
        await at_ce(linked, n)
        with heard_statements(linked) as heard:
            assert await workers.register(linked.rt, server_of(linked.rt)) == {"workers": n}
        sent[n] = len(heard)
    assert sent[1] == sent[40]


async def test_workers_can_be_switched_off(linked: House) -> None:
    await at_ce(linked)
    linked.configure(panda={"workers": False})
    assert await linked.run("heartbeat") == {"told": 1}
    assert linked.workers.instances == {}
