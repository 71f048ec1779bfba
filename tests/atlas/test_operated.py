"""An operator's word on a PanDA queue, or on the tower: what is taken, sent, called back; CRIC cannot undo it."""

import pytest

from act_core.atlas import operated
from act_core.atlas.instance import server_of
from act_core.atlas.offline import WHY
from act_core.db import brakes, operator_modes
from act_core.db.audit import ADMIN, Actor
from act_core.db.listing import Filter
from act_core.db.modes import Mode, Wanted
from act_core.db.operator_modes import Kind
from act_core.deeds.jobs import act_on_jobs
from act_core.settings.policy import Brake
from act_core.states import PandaState, Request
from tests.atlas.house import QUEUE, House


async def _word(house: House, mode: Mode, kind: Kind = Kind.QUEUE) -> None:
    name, server = (QUEUE, server_of(house.rt)) if kind is Kind.QUEUE else ("", "")
    await house.rt.write(operator_modes.put, kind, name, Wanted(mode, "alice", "x"), house.rt.now(), server)


@pytest.mark.parametrize("mode", [Mode.REST, Mode.STOP, Mode.DRAIN, Mode.OFFLINE])
async def test_nothing_is_taken_and_cric_does_not_undo_it(queue: House, mode: Mode) -> None:
    queue.order(2)
    await _word(queue, mode)
    await queue.serve()  # CRIC says online
    assert await queue.run("fetch-jobs") == {}
    assert {job.acquisitions for job in queue.books.jobs.values()} == {0}
    await _word(queue, Mode.ON)
    queue.later(seconds=3)
    assert await queue.run("fetch-jobs") == {"taken": 2}


async def test_a_tower_that_is_drained_takes_nothing_and_binds_what_it_has(queue: House) -> None:
    (sent,) = await queue.taken()
    await _word(queue, Mode.DRAIN, Kind.TOWER)
    queue.order(1)
    queue.later(seconds=3)
    assert await queue.run("fetch-jobs") == {}
    await queue.run("translate")
    assert (await queue.row(sent)).state == PandaState.STARTING.value


@pytest.mark.parametrize("mode", [Mode.STOP, Mode.OFFLINE])
async def test_only_offline_calls_back_what_does_not_run(queue: House, mode: Mode) -> None:
    bound, running = await queue.bound(2)
    await queue.moved(running, "running")
    await queue.tower.news()
    (sent,) = await queue.taken()
    await _word(queue, mode)
    queue.later(seconds=11)
    await queue.run("translate")
    gone = mode is Mode.OFFLINE
    wished = {number: (await queue.attempt(number)).request for number in (bound, running)}
    assert wished == {bound: "cancel" if gone else None, running: None}
    row = await queue.row(sent)
    assert row.error == ("queue TEST is offline" if gone else None)
    assert (await queue.row(bound)).error == (WHY if gone else None)


async def test_an_operator_is_one_witness_too(queue: House) -> None:
    arc = queue.rt.settings.arc
    braked = {"arc": arc.model_copy(update={"brake": Brake(floor=2, fraction=0.05)})}
    queue.rt.settings = queue.rt.settings.model_copy(update=braked)
    numbers = await queue.bound(4)
    for number in numbers[:3]:
        await queue.moved(number, "submitted", remote_id=f"r{number}", ce="here")
    await _word(queue, Mode.OFFLINE)
    queue.later(seconds=11)
    await queue.run("translate")
    assert [(await queue.attempt(number)).request for number in numbers] == [None, None, None, "cancel"]
    (brake,) = await queue.rt.read(brakes.on)
    assert (brake.scope, brake.source, brake.n) == (f"queue:{QUEUE}", "operator:an operator", 3)


async def test_what_an_operator_cancels_by_queue_fails_in_panda_once(queue: House) -> None:
    numbers = await queue.bound(2)
    await queue.run("heartbeat")
    wanted = Filter(shares=(QUEUE,), apps=("atlas",))
    actor = Actor("alice", ADMIN, "cli here")
    done = act_on_jobs(queue.rt._db, actor, wanted, Request.CANCEL, queue.rt.now())
    assert done.granted == 2
    await queue.run("submit")
    await queue.tower.news()
    await queue.run("heartbeat")
    for number in numbers:
        job = queue.book(number)
        assert job.status in ("failed", "holding")
        assert job.columns["pilotErrorDiag"] == "the job was cancelled, and not by PanDA"


async def test_a_queue_is_stopped_once_all_of_it_is_told(queue: House) -> None:
    (number,) = await queue.bound()
    await _word(queue, Mode.DRAIN)
    assert await operated.obey(queue.rt, server_of(queue.rt)) == {}
    await queue.change(number, state=PandaState.CLOSED.value)
    assert await operated.obey(queue.rt, server_of(queue.rt)) == {"emptied": 1}
    word = (await queue.rt.read(operator_modes.standing, queue.rt.now())).queues[server_of(queue.rt), QUEUE]
    assert (word.mode, word.reason) == (Mode.STOP, "emptied; x")


async def test_it_is_looked_for_rarely_and_only_where_there_is_a_word(queue: House) -> None:
    assert await operated.due(queue.rt) == []
    await _word(queue, Mode.OFFLINE)
    assert await operated.due(queue.rt) == []  # looked a moment ago
    queue.later(seconds=11)
    assert await operated.due(queue.rt) == [server_of(queue.rt)]
