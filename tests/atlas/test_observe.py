"""A tower that observes reads and translates; PanDA, the CEs and storage see no write of it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yarl

from act_core.apps import Application, Part
from act_core.atlas import queue_list, queues
from act_core.atlas.instance import server_of
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Observing
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.cric_queues import CeDescription
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Simulator
from act_core.stages import ENGINE, Tower
from act_core.timetable import STAGES
from tests.atlas.house import QUEUE, House

ARC_QUEUE = "ARC"
PACE = Pace(step_s=0, info_period=0)


@dataclass(frozen=True, slots=True)
class Grid:
    """The house with an ARC CE beside it, and two jobs that run there."""

    house: House
    arc: Simulator
    numbers: list[int]

    async def at_arc(self) -> set[tuple[str, str]]:
        """(job, state) by the CE's own list."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.arc.control_url}/jobs") as answer:
            return {(one["id"], one["state"]) for one in (await answer.json())["jobs"]}

    def in_panda(self) -> dict[int, Any]:
        """Status, updates and acquisitions of each job, and who reported as a harvester."""
        books = self.house.books
        return {n: deepcopy((job.status, len(job.updates), job.acquisitions)) for n, job in books.jobs.items()}


@pytest.fixture
async def grid(atlas: House, grid_pki: TestPki) -> AsyncIterator[Grid]:
    async with await serve_arc(ArcOptions(grid_pki.root, name="arc", pace=PACE)) as arc:
        ce = CeDescription(name="arc", endpoint=f"{arc.url}/arex", batch_queue="fork")
        await atlas.serve(name=ARC_QUEUE, ces=(ce,))
        await atlas.serve()
        atlas.lay_out_pilot()
        numbers = atlas.order(2, queue=ARC_QUEUE, run_s=600)  # the payload says how long, whatever the pace
        await atlas.run("fetch-jobs", "translate", "heartbeat", "submit", "submit", "sweep-status", "heartbeat")
        yield Grid(atlas, arc, numbers)


def observe(house: House, on: bool = True) -> None:
    settings = house.rt.settings
    arc = settings.arc.model_copy(update={"tower": Observing(observe=on)})
    house.rt.settings = settings.model_copy(update={"arc": arc})


@contextmanager
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, str, str]]]:
    """(port, method, path) of every request that this process sends: no simulator sees those to the others."""
    found: list[tuple[int, str, str]] = []
    send = aiohttp.ClientSession._request

    async def listening(self: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> Any:
        where = yarl.URL(url).update_query(more.get("params") or {})
        action = where.query.get("action")
        found.append((where.port or 0, method, where.path + (f"?action={action}" if action else "")))
        return await send(self, method, url, **more)

    with monkeypatch.context() as patched:
        patched.setattr(aiohttp.ClientSession, "_request", listening)
        yield found


async def test_the_others_books_show_no_write(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    house = grid.house
    assert len(await grid.at_arc()) == 2
    more = house.order(3, queue=ARC_QUEUE)
    house.order(3)
    house.books.kill(grid.numbers[:1], None, house.clock.now())  # an order that waits for a heartbeat
    await house.moved(grid.numbers[1], request="cancel")
    before, states = grid.in_panda(), await house.states()
    observe(house)
    with heard(monkeypatch) as sent:
        for minutes in (1, 31, 31):
            house.later(minutes=minutes)
            await house.run(*STAGES)
    ports = {urlsplit(one.url).port: name for name, one in (("arc", grid.arc), ("cric", house.cric))}
    reads = {(ports.get(port), method, path.partition("/jobs")[2] or path) for port, method, path in sent}
    assert {(who, method) for who, method, _ in reads} <= {("cric", "GET"), ("arc", "GET"), ("arc", "POST")}
    assert {path for _, method, path in reads if method == "POST"} <= {"?action=status", "?action=info"}
    assert ("arc", "POST", "?action=status") in reads  # it did look
    assert grid.in_panda() == before
    assert {job.acquisitions for number in more if (job := house.books.jobs[number])} == {0}
    assert len(await grid.at_arc()) == 2
    assert set(await house.states()) == set(states)


async def test_what_it_has_is_translated_and_shown(atlas: House) -> None:
    await atlas.serve()
    (number,) = await atlas.taken()
    observe(atlas)
    assert (await atlas.run(*STAGES))["bound"] == 1
    assert (await atlas.attempt(number)).state == "tosubmit"
    panda = atlas.rt.settings.app.panda
    (row,) = await atlas.rt.read(queue_list.listed, server_of(atlas.rt), panda)
    assert (row["name"], row["served"], row["present"], row["waiting"]) == (QUEUE, True, 1, 1)
    assert row["room"] == panda.minjobs - 1
    assert row["asks"] == panda.getjobs
    shown = await atlas.rt.read(queue_list.example, server_of(atlas.rt), QUEUE, atlas.rt.settings.app)
    assert shown is not None
    assert (shown["job"], shown["executable"]) == (f"{number}.1", "runpilot2-wrapper.sh")
    assert "content" not in json.dumps(shown["inputs"])


async def test_a_tower_that_ends_observing_goes_on(grid: Grid) -> None:
    observe(grid.house)
    await grid.house.run(*STAGES)
    observe(grid.house, on=False)
    taken = await grid.house.taken(2)
    assert {grid.house.books.jobs[number].acquisitions for number in taken} == {1}


async def test_a_part_that_does_not_say_that_it_only_reads_is_left_out(atlas: House) -> None:
    async def due(_rt: Runtime) -> list[str]:
        return ["key"]

    async def run(_rt: Runtime, _key: str) -> Counts:
        return Counts(done=1)

    parts = (Part("report", "write", due, run), Part("report", "look", due, run, reads=True))
    tower = Tower(atlas.rt, (Application("odd", parts=parts),))
    assert {part.verb for part in tower.parts("report")} >= {"write", "look"}
    observe(atlas)
    assert "write" not in {part.verb for part in tower.parts("report")}
    assert "look" in {part.verb for part in tower.parts("report")}


def test_the_engine_only_polls_and_looks() -> None:
    assert {part.verb for part in ENGINE if part.reads} == {
        "poll", "renew", "look at", "look ahead", "size", "black holes",
    }  # fmt: skip


async def test_no_queue_is_listed_before_cric_was_read(atlas: House) -> None:
    assert await atlas.rt.read(queue_list.listed, server_of(atlas.rt), atlas.rt.settings.app.panda) == []
    assert (await atlas.rt.read(queues.served, server_of(atlas.rt))).total == 0


async def test_a_queue_without_jobs_has_no_example(queue: House) -> None:
    app = queue.rt.settings.app
    assert await queue.rt.read(queue_list.example, server_of(queue.rt), QUEUE, app) is None
    (number,) = await queue.taken()
    await queue.change(number, job='{"PandaID": 7}')
    shown = await queue.rt.read(queue_list.example, server_of(queue.rt), QUEUE, app)
    assert shown is not None
    assert "prodSourceLabel" in shown["refused"]
