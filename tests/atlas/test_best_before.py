"""A job that PanDA may have given up is not sent: each attempt waits for the next report that PanDA takes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas.bind import vouched
from act_core.settings.app_model import Panda
from act_core.simulators.faults import Kind
from act_core.states import CeState, PandaState
from tests.atlas.house import BOOKED, BULK, CE, House

P, C = PandaState, CeState
MINUTE = timedelta(minutes=1)


def both(house: House, **step: float) -> None:
    """Time passes for the tower and for PanDA, whose watchers look."""
    house.later(**step)
    house.clock.advance(timedelta(**step))


def on_ce(house: House) -> int:
    return len(house.witness.read_text().splitlines()) if house.witness.exists() else 0


@pytest.mark.parametrize(
    ("told", "until"),
    [
        pytest.param(None, timedelta(minutes=25), id="PanDA has heard nothing of it"),
        pytest.param(timedelta(minutes=10), timedelta(minutes=100), id="told ten minutes after"),
    ],
)
def test_until_when_a_job_may_be_sent(told: timedelta | None, until: timedelta) -> None:
    taken = datetime(2026, 3, 1, 12, tzinfo=UTC)
    row = replace(BOOKED, created=taken, told_at=taken + told if told else None)
    assert vouched(row, Panda(), taken + timedelta(hours=9)) == taken + until


async def test_a_report_that_panda_takes_lets_the_job_go_for_longer(queue: House) -> None:
    (number,) = await queue.bound()
    first = (await queue.attempt(number)).vouched_until
    assert first is not None
    assert timedelta(minutes=24) < first - queue.rt.now() <= 25 * MINUTE
    await queue.run("heartbeat")
    second = (await queue.attempt(number)).vouched_until
    assert second is not None
    assert timedelta(minutes=89) < second - queue.rt.now() <= 90 * MINUTE


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERROR])
async def test_while_panda_is_away_a_job_waits_past_its_time_and_goes_when_panda_is_back(
    home: House, kind: Kind
) -> None:
    (number,) = await home.bound()
    await home.fault(home.panda, kind, path=BULK)
    home.later(minutes=26)
    await home.run("heartbeat", "submit")
    assert (await home.attempt(number)).state == C.TOSUBMIT
    assert (await home.row(number)).state == P.STARTING
    await home.panda.faults.remove()
    home.later(minutes=6)
    await home.run("heartbeat", "submit")
    assert (await home.attempt(number)).state == C.SUBMITTED
    assert home.book(number).status == "starting"


async def test_a_job_is_not_in_the_air_when_its_time_ends(home: House) -> None:
    (number,) = await home.bound()
    await home.run("heartbeat")
    home.later(minutes=89, seconds=58)
    await home.run("submit")
    sent = await home.attempt(number)
    assert sent.send_deadline is not None
    assert sent.send_deadline == sent.vouched_until


async def test_what_panda_gave_up_while_the_tower_stood_still_is_not_sent_and_what_runs_is_killed(
    home: House,
) -> None:
    running = await home.running()
    bound, reported = await home.bound(2)
    await home.run("heartbeat")
    (taken,) = await home.taken()
    both(home, hours=3)
    for number in (running, bound, reported, taken):
        assert home.book(number).status == "failed", "PanDA's watchers have given it up"
    await home.run("translate", "submit")  # the worst order
    assert {(await home.attempt(n)).state for n in (bound, reported)} == {C.TOSUBMIT}
    assert ((await home.row(taken)).state, await home.attempts(taken)) == (P.CLOSED, [])
    await home.run("heartbeat")
    assert {(await home.row(n)).state for n in (running, bound, reported)} == {P.TOKILL}
    assert (await home.attempt(running)).request == "cancel"
    await home.run("submit", "heartbeat")
    assert {(await home.attempt(n)).state for n in (bound, reported)} == {C.CANCELLED}
    assert on_ce(home) == 0
    assert (await home.attempt(bound)).ce is None


async def test_what_panda_gave_up_gets_no_inputs_and_no_second_chance_at_its_ce(queue: House) -> None:
    """The client's input is the commit: what a CE has accepted must not begin any more; nor may a failed job."""
    accepted, failed = await queue.bound(2)
    await queue.run("heartbeat")
    now = queue.rt.now()
    await queue.moved(accepted, "submitted", ce=CE, remote_id="r1", due_at=now)
    await queue.moved(failed, "failed", ce=CE, remote_id="r2", request="rerun", request_at=now)
    both(queue, hours=3)
    assert {queue.book(number).status for number in (accepted, failed)} == {"failed"}
    await queue.run("submit")  # before PanDA is asked
    assert (await queue.attempt(accepted)).inputs_sent_at is None
    assert ((await queue.attempt(failed)).state, (await queue.attempt(failed)).reruns) == (C.FAILED, 0)
    await queue.run("heartbeat")
    assert {(await queue.row(number)).state for number in (accepted, failed)} == {P.TOKILL}
    assert {(await queue.attempt(number)).request for number in (accepted, failed)} == {"cancel"}


async def test_a_failed_job_begins_again_at_its_ce_when_panda_has_been_heard(queue: House) -> None:
    number = await queue.running()
    await queue.moved(number, "failed", ce=CE, remote_id="r2", request="rerun", request_at=queue.rt.now())
    both(queue, minutes=100)
    await queue.run("submit", "heartbeat")
    queue.later(minutes=2)
    assert (await queue.attempt(number)).reruns == 0
    await queue.run("submit")
    assert (await queue.attempt(number)).reruns == 1, "the CE is asked"


async def test_after_a_stop_that_panda_has_sat_out_all_goes_on(home: House) -> None:
    (number,) = await home.bound()
    await home.run("heartbeat")
    both(home, minutes=100)
    await home.run("submit")
    assert (await home.attempt(number)).state == C.TOSUBMIT
    await home.run("heartbeat", "submit")
    assert (await home.attempt(number)).state == C.SUBMITTED
    assert home.book(number).status == "starting"


async def test_after_a_stop_heartbeats_are_spread_again(queue: House) -> None:
    numbers = await queue.bound(40)
    await queue.run("heartbeat")
    both(queue, minutes=100)
    await queue.run("heartbeat")
    due = {(await queue.row(number)).heartbeat_due_at for number in numbers}
    assert None not in due
    moments = sorted(one for one in due if one)
    assert len(moments) == 40
    assert moments[-1] - moments[0] > 3 * MINUTE
    assert moments[-1] <= queue.rt.now() + 30 * MINUTE


async def test_a_report_that_panda_does_not_take_vouches_for_nothing(queue: House) -> None:
    (number,) = await queue.bound()
    before = (await queue.attempt(number)).vouched_until
    await queue.fault(queue.panda, Kind.ERROR, path=BULK)
    await queue.run("heartbeat")
    assert (await queue.attempt(number)).vouched_until == before
    assert (await queue.attempt(number)).ce in (None, CE)


async def test_what_is_validated_for_long_runs_anew_without_waiting_for_a_heartbeat(queue: House) -> None:
    number = await queue.running()
    await queue.ended(number, ce=CE, remote_id="r1")
    for _ in range(5):
        both(queue, minutes=31)
        await queue.run("heartbeat")
    ended = await queue.attempt(number)
    assert ended.state == C.DONE
    assert ended.vouched_until is not None
    assert ended.vouched_until > queue.rt.now()
