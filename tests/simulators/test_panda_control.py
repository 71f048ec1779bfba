"""The control port of PanDA's simulator."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_control import Control
from act_core.simulators.panda_http import Clock
from act_core.simulators.panda_jobs import InputName
from act_core.simulators.panda_methods import Desk
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_waiting import Wish
from act_core.simulators.panda_workers import Workers

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books() -> Books:
    return Books(Patience(adder=timedelta(0)))


@pytest.fixture
def registered() -> list[str]:
    return []


@pytest.fixture
async def control(books: Books, clock: Clock, registered: list[str]) -> AsyncIterator[Client]:
    async def register(files: Sequence[InputName]) -> None:
        registered.extend(file.lfn for file in files)

    app = web.Application()
    app.add_routes(Control(Desk(books, Workers(books)), clock, register).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(control: Client, path: str, content: object) -> object:
    async with control.post(path, json=content) as answer:
        assert answer.status == 200
        return await answer.json()


async def get(control: Client, path: str) -> dict[str, object]:
    async with control.get(path) as answer:
        assert answer.status == 200
        return await answer.json()  # type: ignore[no-any-return]


async def test_ordered_jobs_have_their_inputs_registered(control: Client, registered: list[str]) -> None:
    orders = [{"queue": "A", "n": 3, "inputs": 2}, {"queue": "B", "n": 4, "inputs": 1, "shared_inputs": True}]
    made = await post(control, "/jobs", orders)
    assert made == {"jobs": [{"first": 6000000001, "last": 6000000003}, {"first": 6000000004, "last": 6000000007}]}
    assert len(registered) == len(set(registered)) == 7
    summary = await get(control, "/books/summary")
    assert (summary["jobs"], summary["by_status"]) == (7, {"activated": 7})


async def test_a_bad_order_is_refused_with_its_reason(control: Client, books: Books) -> None:
    async with control.post("/jobs", json={"queue": "A", "cores": 0, "wishes": 1}) as answer:
        assert answer.status == 400
        reason = (await answer.json())["error"]
    assert "cores" in reason
    assert "wishes" in reason
    assert not books.jobs


async def test_the_books_tell_the_history_of_a_job(control: Client, books: Books, clock: Clock) -> None:
    await post(control, "/jobs", {"queue": "A", "n": 2, "outputs": 0})
    (job,) = books.acquire("A", Wish(), 1, clock.now(), {})
    for status in ("running", "finished"):
        books.update({"job_id": job.number, "job_status": status, "attempt_nr": 1}, clock.now())
    page = await get(control, f"/books/jobs/{job.number}")
    assert (page["status"], page["final_reports"], page["acquisitions"]) == ("failed", 1, 1)
    updates = page["updates"]
    assert isinstance(updates, list)
    assert [(update["status"], update["command"], update["refused"]) for update in updates] == [
        ("running", "NULL", ""),
        ("finished", "NULL", ""),
    ]
    found = await get(control, "/books?status=failed&queue=A")
    assert found["jobs"] == {str(job.number): page}
    assert (await get(control, "/books?limit=1"))["jobs"] != {}
    assert (await get(control, "/books/summary"))["by_status"] == {"activated": 1, "failed": 1}
    async with control.get("/books/jobs/1") as answer:
        assert answer.status == 404


async def test_kill_queue_status_clock_and_busy_server(control: Client, books: Books, clock: Clock) -> None:
    await post(control, "/jobs", {"queue": "A", "n": 3})
    assert await post(control, "/most", {"most": 2}) == {"most": 2}
    first, second, _ = books.jobs
    books.update({"job_id": first, "job_status": "running"}, clock.now())
    books.update({"job_id": second, "job_status": "running"}, clock.now())
    assert await post(control, "/kill", {"jobs": [second, 9]}) == {"killed": [True, False]}
    await post(control, "/queues", {"A": "paused"})
    await post(control, "/clock", {"advance_s": 7300})
    assert books.jobs[first].status == "running"
    await post(control, "/queues", {"A": "online"})
    await post(control, "/clock", {"advance_s": 7300})
    assert (books.jobs[first].status, books.jobs[second].status) == ("failed", "cancelled")
