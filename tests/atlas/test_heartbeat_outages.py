"""PanDA away, in trouble, or too slow: nothing is lost, and nobody storms it."""

from typing import Any

import pytest

from act_core.atlas import books
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from tests.atlas.house import BULK, House

P = PandaState


async def test_an_outage_loses_no_heartbeat_and_no_job(queue: House) -> None:
    number = await queue.running()
    queue.later(minutes=31)
    await queue.fault(queue.panda, Kind.ERROR, path=BULK)
    assert await queue.run("heartbeat") == {"errors": 1}
    row = await queue.row(number)
    assert (row.state, row.told) == (P.RUNNING.value, "running")
    await queue.panda.faults.remove()
    queue.later(seconds=11)
    assert await queue.run("heartbeat") == {"told": 1}


@pytest.mark.parametrize(
    "fault", [{"kind": Kind.DOWN}, {"kind": Kind.ERROR, "status": 403}, {"kind": Kind.EMPTY}], ids=str
)
async def test_panda_in_trouble_is_told_ever_more_rarely(queue: House, fault: dict[str, Any]) -> None:
    number = await queue.running()
    queue.later(minutes=31)
    await queue.fault(queue.panda, path=BULK, **fault)
    for pause in (10, 20, 40, 80, 160, 300, 300):
        assert await queue.run("heartbeat") == {"errors": 1}
        queue.later(seconds=pause - 2)
        assert await queue.run("heartbeat") == {}
        queue.later(seconds=3)
    await queue.panda.faults.remove()
    assert await queue.run("heartbeat") == {"told": 1}
    await queue.fault(queue.panda, path=BULK, **fault)
    await queue.change(number, heartbeat_due_at=queue.rt.now())
    assert await queue.run("heartbeat") == {"errors": 1}
    queue.later(seconds=11)
    assert await queue.run("heartbeat") == {"errors": 1}  # it began anew


async def test_more_final_reports_than_a_round_can_hold_take_several(
    queue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "REPORTS", 1)
    numbers = await queue.bound(3)
    for number in numbers:
        await queue.ended(number, "donefailed")
    for left in (2, 1, 0):
        assert await queue.run("heartbeat") == {"told": 1, "final": 1}
        assert list((await queue.states()).values()).count(P.TOREPORT.value) == left
    assert {queue.book(number).finals for number in numbers} == {1}


async def test_a_shard_that_is_not_answered_takes_no_other_with_it(queue: House) -> None:
    await queue.taken(150)
    await queue.run("fetch-jobs")
    await queue.fault(queue.panda, Kind.ERROR, path=BULK, times=1)
    counts = await queue.run("heartbeat")
    assert counts["told"] + counts["to tell again"] == 150
    assert counts["told"] in (50, 100)
    queue.later(seconds=11)
    assert await queue.run("heartbeat") == {"told": 150 - counts["told"]}
    assert {job.status for job in queue.books.jobs.values()} == {"starting"}
