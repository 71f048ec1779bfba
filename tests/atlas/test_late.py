"""Jobs of which PanDA has not heard for too long: the sender speaks of those alone of which the tower knows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from act_core.atlas import heartbeat, late
from act_core.atlas.instance import server_of
from act_core.atlas.late import Held, Late
from act_core.cli import heartbeats
from act_core.db.models import Ce
from act_core.settings.model import Settings
from act_core.states import CeState, PandaState, Request
from tests.atlas.house import CE, House

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
S, P = CeState, PandaState
ASKED = timedelta(minutes=2)


def at(ce: str | None, state: CeState, absent: timedelta | None = None) -> Held:
    return Held(state, ce, NOW - absent if absent else None)


@pytest.mark.parametrize(
    ("state", "attempt", "asked", "speaks", "words"),
    [
        pytest.param(P.SENT, None, None, True, "no CE has it yet", id="not bound"),
        pytest.param(P.TOREPORT, None, None, True, "its end is known", id="over"),
        pytest.param(P.TOVALIDATE, at("ce1", S.DONE), None, True, "its outputs are here", id="validated"),
        pytest.param(P.STARTING, None, ASKED, False, "no attempt stands for it", id="forgotten"),
        pytest.param(P.STARTING, at(None, S.TOSUBMIT), None, True, "no CE has it yet", id="waits"),
        pytest.param(P.STARTING, at("ce1", S.SUBMITTING), HOUR, False, "ce1 was last heard 1 h ago", id="in the air"),
        pytest.param(P.RUNNING, at("ce1", S.RUNNING), ASKED, True, "ce1 said so 2 min ago", id="runs"),
        pytest.param(P.RUNNING, at("ce1", S.RUNNING), HOUR, False, "ce1 was last heard 1 h ago", id="silent CE"),
        pytest.param(P.RUNNING, at("ce1", S.RUNNING), None, False, "ce1 was never heard", id="CE never asked"),
        pytest.param(P.RUNNING, at("ce2", S.RUNNING), ASKED, False, "its CE ce2 is not known any more", id="CE gone"),
        pytest.param(P.RUNNING, at("ce1", S.RUNNING, HOUR), ASKED, False, "ce1 has not known it for 1 h", id="absent"),
        pytest.param(P.RUNNING, at("ce1", S.FAILED), HOUR, True, "ce1 has told its end", id="ended there"),
        pytest.param(P.RUNNING, at("ce1", S.LOST), ASKED, False, "its attempt is over (lost)", id="lost"),
    ],
)
def test_of_whom_the_tower_may_speak(
    tmp_path: Path, state: PandaState, attempt: Held | None, asked: timedelta | None, speaks: bool, words: str
) -> None:
    held = Settings(state_dir=tmp_path)
    poll = held.arc.jobs.checkinterval
    ce = Ce(name="ce1", next_poll_at=NOW - asked + poll if asked else None)
    known = ce if attempt and attempt.ce == "ce1" else None
    said, why = late.judged(state, attempt, known, held, NOW)
    assert (said, why[: len(words)]) == (speaks, words)


async def asked(house: House, **ago: float) -> None:
    """All jobs of the CE were looked at then."""
    then = house.rt.now() - timedelta(**ago) + house.rt.settings.arc.jobs.checkinterval
    await house.rt.write(lambda s: s.execute(update(Ce).where(Ce.name == CE).values(next_poll_at=then)) and None)


async def told(house: House, number: int, **ago: float) -> None:
    """PanDA heard of the job then, and is to hear of it in ten minutes."""
    now = house.rt.now()
    await house.change(number, told_at=now - timedelta(**ago), heartbeat_due_at=now + timedelta(minutes=10))


async def found(house: House) -> dict[int, Late]:
    held = house.rt.settings
    rows = await house.rt.read(late.late, held, late.longest(held), house.rt.now())
    return {one.row.panda_id: one for one in rows}


async def test_only_what_is_late_and_ours_to_tell(queue: House) -> None:
    old, new, over, his = [await queue.running() for _ in range(4)]
    for number, minutes in ((old, 46), (new, 44), (over, 46), (his, 46)):
        await told(queue, number, minutes=minutes)
    await queue.change(over, state="closed")
    await queue.change(his, reporter="pilot", heartbeat_due_at=None)
    await asked(queue, minutes=1)
    assert [(number, one.speaks) for number, one in (await found(queue)).items()] == [(old, True)]
    await queue.change(old, heartbeat_due_at=None)  # nobody would ever tell PanDA again
    assert list(await found(queue)) == [old]


async def test_the_tower_that_is_up_sends_them_next(queue: House) -> None:
    number = await queue.running()
    await told(queue, number, hours=1)
    await asked(queue, minutes=1)
    assert await queue.rt.write(late.make_due, list((await found(queue)).values()), queue.rt.now()) == 1
    assert await heartbeat.due(queue.rt) == [server_of(queue.rt)]
    assert await queue.run("heartbeat") == {"told": 1}
    assert await found(queue) == {}


async def test_a_job_at_a_silent_ce_is_left_alone(queue: House) -> None:
    number = await queue.running()
    await told(queue, number, hours=1)
    await asked(queue, hours=1)
    before = (await queue.row(number)).heartbeat_due_at
    (one,) = (await found(queue)).values()
    assert not one.speaks
    assert await queue.rt.write(late.make_due, [one], queue.rt.now()) == 0
    assert (await queue.row(number)).heartbeat_due_at == before
    assert await heartbeat.due(queue.rt) == []


async def test_without_a_tower_they_are_told_here_and_nobody_else_is(queue: House) -> None:
    """Of a job at a CE that nobody has asked since the stop PanDA hears nothing, though its time has come, too."""
    killed, absent = await queue.running(), await queue.running()
    for number in (killed, absent):
        await told(queue, number, hours=1)
        await queue.change(number, heartbeat_due_at=queue.rt.now() - timedelta(minutes=20))
    await queue.moved(absent, absent_since=queue.rt.now() - HOUR)
    await asked(queue, minutes=1)
    queue.books.kill([killed], None, queue.clock.now())
    late_ones = list((await found(queue)).values())
    await queue.rt.write(late.make_due, late_ones, queue.rt.now())
    held = queue.rt.settings
    assert await heartbeats._send_here(held, [(held, late_ones)]) == {"told": 1, "kill orders": 1}
    assert (await queue.row(killed)).state == P.TOKILL.value  # what PanDA orders is heeded
    assert (await queue.attempt(killed)).request == Request.CANCEL.value
    assert len(queue.book(absent).updates) == 1
