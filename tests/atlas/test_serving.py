"""Who serves a queue, what its status lets happen, and what is said when none is served."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from act_core.atlas import fetch_jobs, queues
from act_core.atlas.cric import Queue, parse_queues
from act_core.atlas.instance import server_of
from act_core.atlas.offline import WHY
from act_core.atlas.serving import STATUSES, Served, sentence
from act_core.db import brakes
from act_core.db.panda_models import PandaQueue
from act_core.settings.app_model import Cric, PandaSite
from act_core.settings.policy import Brake
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.states import PandaState
from tests.atlas.house import QUEUE, House

REFRESH = "refresh-queues"
ARC = CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex")


def queue_with(cric: Cric, site: PandaSite | None = None, **fields: object) -> Queue:
    entry = entry_of(QueueDescription(name="Q", ces=(ARC,), fields=fields))
    return parse_queues({"Q": entry}, cric, {"Q": site} if site else {}, {}).queues["Q"]


@pytest.mark.parametrize(
    ("cric", "harvester", "why"),
    [
        ({}, None, ""),
        ({"harvester": "act-1"}, None, ""),
        ({"harvester": "act-1"}, "act-1", ""),
        ({"harvester": "act-1"}, "act-2", "harvester is 'act-2', and this tower is 'act-1' (cric.harvester)"),
        ({}, "act-2", "harvester is 'act-2', and this tower has no name (cric.harvester)"),
        ({"pilotmanager": "all"}, "act-2", "harvester is 'act-2', and this tower has no name (cric.harvester)"),
    ],
)
def test_a_queue_of_another_instance_is_refused(cric: dict[str, Any], harvester: str | None, why: str) -> None:
    found = queue_with(Cric.model_validate(cric), harvester=harvester)
    assert (found.served, found.why) == (not why, why)


def test_the_configuration_may_list_it_all_the_same() -> None:
    site = PandaSite(maxjobs=5)
    assert queue_with(Cric(harvester="me"), site, harvester="other", pilot_manager="Harvester").served


@pytest.mark.parametrize("site", [None, PandaSite(maxjobs=5)])
def test_a_queue_whose_jobs_a_harvester_hands_over_is_not_asked_for(site: PandaSite | None) -> None:
    found = queue_with(Cric(handedby=("CERN_central",)), site, harvester="CERN_central", pilot_manager="Harvester")
    assert (found.served, found.handed) == (False, True)
    assert found.why == "Harvester 'CERN_central' takes its jobs, and hands them over"
    bad = queue_with(Cric(handedby=("CERN_central",)), site, harvester="CERN_central", queues=[])
    assert (bad.served, bad.handed, bad.why) == (False, False, "no active CE")


def test_a_tower_that_is_handed_all_of_its_jobs_is_told_apart() -> None:
    said = sentence(Served(9, 0, {"Harvester 'X' takes its jobs, and hands them over": 2, "virtual": 7}), "aCT")
    assert said == (
        "no jobs are taken from PanDA: of 9 PanDA queues none is served, and a Harvester hands over the jobs of 2 "
        "(`act queues list`)"
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Served(0, 0, {}), "none is known"),
        (Served(3000, 0, {"pilot_manager is 'Harvester', not 'aCT'": 3000}), "none of 3000 has pilot_manager aCT."),
        (
            Served(7, 0, {"no active CE": 2, "virtual": 4, "pilot_manager is None, not 'aCT'": 1}),
            "of 7, 4: virtual, 2: no",
        ),
    ],
)
def test_what_is_said_when_none_is_served(found: Served, words: str) -> None:
    said = sentence(found, "aCT")
    assert said is not None
    assert said.startswith("no PanDA queue is served: ")
    assert words in said
    assert sentence(replace(found, served=1), "aCT") is None


async def test_a_tower_without_a_matching_manager_takes_nothing_and_says_why(atlas: House) -> None:
    await atlas.serve(fields={"pilot_manager": "Harvester"})
    await atlas.serve(name="OTHER", fields={"harvester": "another"})
    atlas.order(3)
    atlas.order(3, queue="OTHER")
    assert await atlas.run("fetch-jobs") == {}
    assert await atlas.rows() == {}
    assert {job.acquisitions for job in atlas.books.jobs.values()} == {0}
    found = await atlas.rt.read(queues.served, server_of(atlas.rt))
    assert found == Served(
        2,
        0,
        {
            "pilot_manager is 'Harvester', not 'aCT'": 1,
            "harvester is 'another', and this tower is 'act' (cric.harvester)": 1,
        },
    )


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_says_what_is_taken(atlas: House, status: str) -> None:
    await atlas.serve(status=status)
    assert await fetch_jobs.due(atlas.rt) == ([QUEUE] if STATUSES[status].take else [])


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_says_what_of_the_taken_is_sent(queue: House, status: str) -> None:
    bound, running, held = await queue.bound(3)
    await queue.moved(running, "running")
    await queue.tower.news()
    await queue.moved(held, "holding", remote_id="r1", ce="here")
    (sent,) = await queue.taken()
    await queue.serve(status=status)
    await queue.run("translate")
    starts = STATUSES[status].start
    wished = {number: (await queue.attempt(number)).request for number in (bound, running, held)}
    assert wished == {bound: None, running: None, held: None} | ({} if starts else {bound: "cancel", held: "cancel"})
    row = await queue.row(sent)
    assert row.state == (PandaState.STARTING if starts else PandaState.TOREPORT).value
    assert row.error == (None if starts else f"queue TEST is {status}")


async def test_what_was_called_back_fails_in_panda_with_the_reason(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.run("heartbeat")
    await queue.serve(status="offline")
    await queue.run("submit")
    await queue.tower.news()
    await queue.run("heartbeat")
    job = queue.book(number)
    assert job.status in ("failed", "holding")
    assert job.columns["pilotErrorDiag"] == f"the job was called back: {WHY}"
    assert (await queue.attempt(number)).state == "cancelled"


async def test_many_jobs_at_a_ce_are_not_called_back_on_one_word(queue: House) -> None:
    arc = queue.rt.settings.arc
    queue.rt.settings = queue.rt.settings.model_copy(
        update={"arc": arc.model_copy(update={"brake": Brake(floor=2, fraction=0.05)})}
    )
    numbers = await queue.bound(4)
    for number in numbers[:3]:
        await queue.moved(number, "submitted", remote_id=f"r{number}", ce="here")
    await queue.serve(status="offline")
    wished = [(await queue.attempt(number)).request for number in numbers]
    assert wished == [None, None, None, "cancel"]  # the last one never left the tower
    (brake,) = await queue.rt.read(brakes.on)
    assert (brake.scope, brake.kind, brake.source, brake.n) == (f"queue:{QUEUE}", "kill", "cric:CRIC", 3)


async def test_a_gone_queue_comes_back_as_it_was(queue: House) -> None:
    entry = queue.cric_feed.entries.pop(QUEUE)
    await queue.serve(name="OTHER")
    assert (await queue.queue()).why == "CRIC names it no longer"
    queue.cric_feed.entries[QUEUE] = entry
    await queue.run(REFRESH)
    assert ((await queue.queue()).served, (await queue.queue()).why) == (True, None)
    assert await queue.rt.read(lambda session: session.scalars(select(PandaQueue.name)).all()) == ["OTHER", QUEUE]
