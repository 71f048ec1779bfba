"""Modes that end by themselves, downtimes that begin and end, and reasons that hold no more."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import arrivals, ces, downtimes, ledger, modes
from act_core.db.downtimes import Downtime
from act_core.db.models import Ce, CeJob
from act_core.db.modes import OPERATOR, Mode, Wanted
from act_core.deeds.modes import Asked, put_ce_mode
from act_core.engine.fill import Held
from act_core.engine.modes import keep_modes
from act_core.engine.submit import submit, tell_waits
from act_core.jobspec import JobSpec
from act_core.reasons import Reason, Topic
from act_core.settings.policy import Downtime as DowntimeSettings
from act_core.states import CeState
from act_core.tells import TELLS
from tests.engine.house import CE, House

HOUR = timedelta(hours=1)


async def _row(house: House) -> Ce:
    return (await house.read(ces.all_ces))[0]


async def _later(house: House, ahead: timedelta) -> str:
    """The mode, that much later."""
    house.ahead += ahead
    await keep_modes(house)
    return (await _row(house)).mode


async def _told(house: House, topic: Topic = Topic.MODE) -> list[str]:
    lines = await house.read(ledger.lines, ce=CE)
    return [line.code for line in reversed(lines) if line.topic == topic]


async def _set(house: House, mode: Mode, until: timedelta | None = None) -> None:
    wanted = Wanted(mode, OPERATOR, "x", None if until is None else house.now() + until)
    await house.write(modes.set_mode, CE, wanted, house.now())


async def test_a_mode_ends_by_itself(house: House) -> None:
    await _set(house, Mode.REST, HOUR)
    assert [await _later(house, HOUR / 2), await _later(house, HOUR)] == ["rest", "on"]
    assert await _told(house) == ["mode-rest", ""]


async def test_a_downtime_begins_and_ends(house: House) -> None:
    start = house.now() + HOUR
    await house.write(downtimes.sync_downtimes, "config", [Downtime("*", start, start + HOUR, Mode.OFFLINE, "power")])
    assert [await _later(house, step) for step in (timedelta(0), HOUR, HOUR / 2, HOUR)] == [
        "on",
        "offline",
        "offline",
        "on",
    ]
    assert await _told(house) == ["mode-offline", ""]


async def test_a_downtime_that_is_taken_back(house: House) -> None:
    lasting = Downtime(CE, house.now(), downtimes.FOREVER, Mode.OFFLINE)
    await house.write(downtimes.sync_downtimes, "config", [lasting])
    assert await _later(house, HOUR) == "offline"
    await house.write(downtimes.sync_downtimes, "config", [])
    assert await _later(house, HOUR) == "on"


async def test_on_against_a_downtime_without_an_end_is_over_with_it(house: House) -> None:
    lasting = Downtime(CE, house.now(), downtimes.FOREVER, Mode.OFFLINE)
    await house.write(downtimes.sync_downtimes, "config", [lasting])
    await _later(house, HOUR)
    await house.write(put_ce_mode, CE, Asked(Mode.ON, "well again"), house.now())
    assert await _later(house, HOUR) == "on"
    await house.write(downtimes.sync_downtimes, "config", [])
    await _later(house, HOUR)
    now = house.now()
    await house.write(downtimes.sync_downtimes, "config", [Downtime(CE, now + HOUR, now + 3 * HOUR)])
    assert await _later(house, 2 * HOUR) == "stop"  # the next one counts


async def test_an_operators_word_outlasts_a_downtime(house: House) -> None:
    await _set(house, Mode.DRAIN)
    now = house.now()
    await house.write(downtimes.sync_downtimes, "config", [Downtime("*", now, now + HOUR, Mode.OFFLINE)])
    await house.jobs(1, CeState.RUNNING)
    assert [await _later(house, HOUR / 2), await _later(house, HOUR)] == ["drain", "drain"]


async def test_a_drained_ce_is_stopped_once_it_is_empty(house: House) -> None:
    await house.jobs(1, CeState.RUNNING)
    await _set(house, Mode.DRAIN)
    assert await _later(house, HOUR) == "drain"
    await house.changed((await house.rows())[0].id, CeState.CANCELLED)
    assert await _later(house, HOUR) == "stop"
    row = await _row(house)
    assert (row.mode_owner, row.mode_reason) == (OPERATOR, "emptied; x")


@pytest.fixture
async def full(house: House) -> House:
    """A house whose CE may have no jobs, and three that wait for it."""
    await house.write(lambda s: s.execute(update(Ce).values(maxjobs=0)) and None)
    jobs = [arrivals.NewJob("manual", f"j{n}", JobSpec(executable="x"), frozenset({CE}), 3, "s") for n in range(3)]
    await house.write(arrivals.add_jobs, house.tower, jobs, house.now())
    return house


async def test_why_jobs_wait_is_told_once_and_ended(full: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await submit(full, CE)
        full.ahead += timedelta(seconds=6)
    (held,) = await full.read(ledger.standing, ces=[CE])
    assert (held.code, held.share, held.n) == ("full", "s", 3)
    assert TELLS[Reason.FULL].why.format_map(held.facts) == "ce has 0 of at most 0 jobs."
    monkeypatch.setattr(full, "write", None)  # an unchanged reason writes nothing
    await tell_waits(full, CE, {"s": Held(Reason.FULL, {})})
    monkeypatch.undo()
    await full.write(lambda s: s.execute(update(Ce).values(maxjobs=9)) and None)
    await submit(full, CE)
    assert await _told(full, Topic.SUBMIT) == ["full", ""]


async def test_what_waits_past_its_best_before_at_a_full_ce_is_given_up(full: House) -> None:
    late = update(CeJob).where(CeJob.app_job_id == "j1").values(submit_before=full.now())
    await full.write(lambda s: s.execute(late) and None)
    await submit(full, CE)
    await _later(full, timedelta(minutes=1))
    assert [row.state for row in await full.rows()] == ["tosubmit", "cancelled", "tosubmit"]


async def test_the_reason_of_what_waits_no_more_is_ended(full: House) -> None:
    await submit(full, CE)
    await full.write(lambda s: s.execute(update(CeJob).values(state="cancelled")) and None)
    await _later(full, HOUR)
    assert await _told(full, Topic.SUBMIT) == ["full", ""]


async def test_the_reason_of_what_waits_for_the_mode_is_ended(full: House) -> None:
    await submit(full, CE)
    await _set(full, Mode.STOP)
    await _later(full, HOUR)
    assert await _told(full, Topic.SUBMIT) == ["full", ""]


async def test_other_limits_are_told_without_a_new_line(full: House) -> None:
    await submit(full, CE)
    full.ahead += timedelta(minutes=2)
    await tell_waits(full, CE, {"s": Held(Reason.FULL, {"on_ce": 7, "maxjobs": 7})})
    (held,) = await full.read(ledger.standing, ces=[CE])
    assert TELLS[Reason.FULL].why.format_map(held.facts) == "ce has 7 of at most 7 jobs."
    assert await _told(full, Topic.SUBMIT) == ["full"]


async def test_reasons_that_flap_do_not_fill_the_ledger(full: House) -> None:
    for n in range(600):
        reason = Reason.QUEUE_FULL if n % 2 else Reason.FULL
        await tell_waits(full, CE, {"s": Held(reason, {"maxjobs": 0})})
        full.ahead += timedelta(seconds=1)
    assert 2 <= len(await full.read(ledger.lines, ce=CE)) <= 10


@pytest.mark.parametrize("mode", [Mode.STOP, Mode.OFFLINE])
async def test_a_job_is_given_up_at_its_best_before_though_no_ce_takes_any(full: House, mode: Mode) -> None:
    await _set(full, mode)
    best = full.now() + HOUR
    await full.write(
        lambda s: s.execute(update(CeJob).where(CeJob.app_job_id == "j1").values(submit_before=best)) and None
    )
    await _later(full, HOUR / 2)
    assert {row.state for row in await full.rows()} == {"tosubmit"}
    await _later(full, HOUR)
    assert {row.app_job_id for row in await full.rows() if row.state == "cancelled"} == {"j1"}


async def test_no_lock_is_taken_for_what_is_another_candidates_at_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [arrivals.NewJob("manual", f"j{n}", JobSpec(executable="x"), frozenset({CE, "d"}), 3) for n in range(2)]
    await house.write(arrivals.add_jobs, house.tower, jobs, house.now())
    await submit(house, CE)
    assert sum(row.ce == CE for row in await house.rows()) == 1
    with monkeypatch.context() as patch:
        patch.setattr(house, "write", None)
        await submit(house, CE)
    house.ahead += timedelta(seconds=6)
    await submit(house, CE)
    assert sum(row.ce == CE for row in await house.rows()) == 2


async def test_no_submission_anywhere(full: House) -> None:
    arc = full.settings.arc.model_copy(update={"downtime": DowntimeSettings(stopsubmission=True)})
    full.settings = full.settings.model_copy(update={"arc": arc})
    await submit(full, CE)
    assert await _told(full, Topic.SUBMIT) == ["no-submission"]


async def test_an_idle_look_writes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Any] = []
    monkeypatch.setattr(house, "write", writes.append)
    for _ in range(3):
        assert not await keep_modes(house)
        house.ahead += HOUR
    assert writes == []
