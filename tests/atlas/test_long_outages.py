"""The tower stands still for hours, or PanDA is away for one, and PanDA's watchers look."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from act_core.atlas import bind
from act_core.db.panda_models import PandaQueue
from act_core.simulators.faults import Kind
from act_core.simulators.witness import count
from act_core.states import CeState, PandaState
from tests.atlas.house import QUEUE, House
from tests.atlas.test_best_before import both, on_ce

P, C = PandaState, CeState
MINUTE = timedelta(minutes=1)
ROUND = ("translate", "heartbeat", "submit")
Eventually = Callable[..., Awaitable[Any]]


async def outage(house: House, minutes: int) -> None:
    """Nobody reaches PanDA for so long; its watchers look on. The tower goes on."""
    await house.fault(house.panda, Kind.DOWN)
    for _ in range(minutes // 10):
        await house.run(*ROUND, "fetch-jobs")
        both(house, minutes=10)
    await house.panda.faults.remove()
    both(house, minutes=5)  # the longest pause between two questions


async def test_panda_is_away_for_an_hour(home: House) -> None:
    running = await home.running()
    ended = await home.running()
    (told,) = await home.bound()
    await home.run("heartbeat")
    (unheard,) = await home.bound()
    (taken,) = await home.taken()
    both(home, minutes=26)
    await home.ended(ended, "donefailed", error="the payload ended with exit code 3")
    await outage(home, 60)
    assert [home.book(number).status for number in (unheard, taken)] == ["failed", "failed"], "PanDA gave them up"
    await home.run("heartbeat", *ROUND)
    final = home.book(ended)
    assert (final.status, final.finals) == ("failed", 1)
    assert "exit code 3" in str(final.columns["pilotErrorDiag"]), "the report as it was written an hour ago"
    assert home.book(running).status == "running"
    assert (await home.attempt(told)).state not in (C.TOSUBMIT, C.CANCELLED)
    assert ((await home.attempt(unheard)).state, (await home.attempt(unheard)).ce) == (C.CANCELLED, None)
    assert ((await home.row(taken)).state, await home.attempts(taken)) == (P.CLOSED, [])
    await home.run("sweep-status", "heartbeat")
    assert (await home.row(unheard)).state == P.CLOSED
    assert not {str(unheard), str(taken)} & set(count(home.witness))


async def test_after_an_hour_without_panda_heartbeats_are_spread_again(queue: House) -> None:
    numbers = await queue.bound(40)
    await queue.run("heartbeat")
    await queue.fault(queue.panda, Kind.DOWN)
    both(queue, minutes=60)
    await queue.run("heartbeat")
    await queue.panda.faults.remove()
    both(queue, minutes=5)
    assert await queue.run("heartbeat") == {"told": 40}
    due = sorted([moment for one in numbers if (moment := (await queue.row(one)).heartbeat_due_at)])
    assert len(due) == 40
    assert due[-1] - due[0] > 3 * MINUTE
    assert due[-1] <= queue.rt.now() + 30 * MINUTE
    assert {queue.book(number).status for number in numbers} == {"starting"}


async def test_a_payload_that_panda_gave_up_while_the_tower_stood_still_is_killed_within_a_window(
    home: House, eventually: Eventually
) -> None:
    (number,) = await home.bound(run_s=300)
    await home.run("heartbeat", "submit")

    async def runs() -> bool:
        await home.run("submit", "sweep-status")
        return on_ce(home) == 1 and (await home.attempt(number)).state == C.RUNNING

    await eventually(runs, "the payload runs")
    await home.run("heartbeat")
    both(home, hours=3)
    assert home.book(number).status == "failed"

    async def over() -> bool:
        await home.run("heartbeat", "submit", "sweep-status")
        return (await home.attempt(number)).state == C.CANCELLED

    await eventually(over, "the payload is killed")
    await home.run("heartbeat")
    assert (await home.row(number)).state == P.CLOSED
    assert count(home.witness) == {str(number): 1}


async def test_a_report_that_was_not_sent_before_the_stop_is_sent_once(queue: House) -> None:
    """PanDA has given the job up meanwhile: it is told all the same, and no more than that."""
    number = await queue.running()
    await queue.ended(number, "donefailed", error="out of memory")
    both(queue, hours=3)
    assert queue.book(number).status == "failed"
    await queue.run("heartbeat", "heartbeat")
    assert (await queue.row(number)).state == P.CLOSED
    assert [one.status for one in queue.book(number).updates] == ["running", "failed"]


@pytest.mark.parametrize("gone", [True, False], ids=["it is in no table", "CRIC names it no longer"])
async def test_a_job_of_a_queue_that_is_gone_goes_back(queue: House, gone: bool) -> None:
    (number,) = await queue.taken()
    await queue.run("heartbeat")
    del queue.cric_feed.entries[QUEUE]
    await queue.serve(name="OTHER")
    if gone:
        this = delete(PandaQueue).where(PandaQueue.name == QUEUE)
        await queue.rt.write(lambda session: session.execute(this) and None)
    both(queue, minutes=30)
    await queue.run("translate", "heartbeat")
    assert ((await queue.row(number)).state, await queue.attempts(number)) == (P.CLOSED, [])
    why = "has no CE" if gone else "is not served by this tower any more: CRIC names it no longer"
    assert why in str(queue.book(number).columns["pilotErrorDiag"])
    assert await bind.due(queue.rt) == []


async def test_before_cric_is_read_no_job_goes_back(queue: House) -> None:
    """The tables of queues are empty after an upgrade; the stages begin side by side."""
    (number,) = await queue.taken()
    await queue.rt.write(lambda session: session.execute(delete(PandaQueue)) and None)
    assert await queue.run("translate", "heartbeat") == {"told": 1}
    assert (await queue.row(number)).state == P.SENT
    await queue.run("refresh-queues")
    assert await queue.run("translate") == {"bound": 1}


async def test_a_job_of_a_queue_that_is_drained_at_its_ces_is_described_and_waits(queue: House) -> None:
    (number,) = await queue.taken()
    await queue.serve(status="brokeroff")
    await queue.run("translate")
    assert (await queue.attempt(number)).state == C.TOSUBMIT
