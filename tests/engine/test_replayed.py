"""What a replay is given, out of events; and a control that tells the day as it was."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from act_core.db.replays import Ran, Step
from act_core.engine.fill import Limits
from act_core.engine.replay import replay
from act_core.engine.replayed import Life, figures, life_of, observed, round_of
from act_core.states import CeState

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = BEGIN + timedelta(hours=12)
MINUTE = timedelta(minutes=1)
S = CeState


def at(minutes: float) -> datetime:
    return BEGIN + minutes * MINUTE


def ran(number: int, ce: str | None = "ce1", created: float = 0, wall_s: int | None = None) -> Ran:
    return Ran(number, ce, "", 50, 1, None, None, at(created), wall_s)


def steps(*known: tuple[float, CeState]) -> list[Step]:
    return [Step(at(minutes), state) for minutes, state in known]


@pytest.mark.parametrize(
    ("happened", "wall_s", "life"),
    [
        pytest.param([], None, Life(), id="it waits"),
        pytest.param([(1, S.SUBMITTING), (2, S.TOSUBMIT)], None, Life(), id="it came back"),
        pytest.param(
            [(1, S.SUBMITTING), (2, S.TOSUBMIT), (5, S.SUBMITTING), (6, S.SUBMITTED)],
            None,
            Life(sent=at(5)),
            id="it was sent again",
        ),
        pytest.param(
            [(1, S.SUBMITTING), (2, S.SUBMITTED), (9, S.RUNNING), (30, S.FINISHING), (31, S.FINISHED), (40, S.DONE)],
            None,
            Life(at(1), at(9), at(30), at(40)),
            id="a whole life",
        ),
        pytest.param(
            [(1, S.SUBMITTING), (2, S.SUBMITTED), (30, S.FINISHED), (40, S.DONE)],
            600,
            Life(at(1), at(20), at(30), at(40)),
            id="nobody saw it run",
        ),
        pytest.param(
            [(1, S.SUBMITTING), (2, S.SUBMITTED), (9, S.CANCELLED)], None, Life(at(1), over=at(9)), id="it never ran"
        ),
    ],
)
def test_the_life_of_an_attempt(happened: Sequence[tuple[float, CeState]], wall_s: int | None, life: Life) -> None:
    assert life_of(ran(1, wall_s=wall_s), steps(*happened)) == life


def a_day(slots: int, length: int, queue: int) -> dict[int, tuple[Ran, Sequence[Step]]]:
    """A site that takes one job after the other, and a tower that keeps `queue` of them there."""
    jobs: dict[int, tuple[Ran, Sequence[Step]]] = {}
    for number in range(300):
        wave, before = number // slots, max(number - queue, 0) // slots
        start = wave * length + 1
        sent = before * length if number >= queue else 0
        life = ((sent, S.SUBMITTING), (sent + 0.1, S.SUBMITTED), (start, S.RUNNING), (start + length, S.FINISHED))
        done = (start + length, S.DONE)
        jobs[number] = ran(number), steps(*(one for one in (*life, done) if one[0] < 12 * 60))
    return jobs


def test_the_control_tells_the_day_as_it_was() -> None:
    seen = observed("ce1", BEGIN, END, a_day(slots=10, length=60, queue=5))
    real, control = figures(seen.trace), figures(replay(seen.day, Limits(maxjobs=1000, a=0, b=5)))
    assert real.started == pytest.approx(control.started, abs=10)
    assert control.mean_running == pytest.approx(real.mean_running, rel=0.1)
    assert control.mean_wait_s == pytest.approx(real.mean_wait_s, rel=0.1)
    assert seen.shown > 0.9


def test_what_another_ce_took_is_there_until_then() -> None:
    jobs = {1: (ran(1, "ce2"), steps((30, S.SUBMITTING), (40, S.RUNNING), (100, S.FINISHED)))}
    (job,) = observed("ce1", BEGIN, END, jobs).day.jobs
    assert (job.taken, job.lasts, job.sent) == (at(30), 60 * MINUTE, None)


def test_what_was_over_before_is_not_there() -> None:
    jobs = {
        1: (ran(1, created=-90), steps((-80, S.SUBMITTING), (-70, S.RUNNING), (-9, S.FINISHED), (-5, S.DONE))),
        2: (ran(2, "ce2", created=-90), steps((-80, S.SUBMITTING), (-70, S.RUNNING))),
        3: (ran(3, created=-90), steps((-80, S.SUBMITTING), (-70, S.RUNNING), (50, S.FINISHED), (60, S.DONE))),
    }
    seen = observed("ce1", BEGIN, END, jobs)
    (job,) = seen.day.jobs
    assert (job.job.id, job.started, job.lasts, job.lingers) == (3, at(-70), 120 * MINUTE, 10 * MINUTE)
    assert (seen.trace.ended, seen.trace.started, seen.trace.running[0]) == (1, 0, 1)


def test_the_site_gave_what_ran_while_jobs_had_to_queue() -> None:
    """Three run, and for an hour a fourth waits; after that the site is known to have three slots at least."""
    jobs = {n: (ran(n), steps((0, S.SUBMITTING), (0, S.RUNNING), (120, S.FINISHED))) for n in range(3)}
    jobs[3] = ran(3), steps((30, S.SUBMITTING), (120, S.RUNNING), (130, S.FINISHED))
    seen = observed("ce1", BEGIN, END, jobs)
    assert {slots for _, slots in seen.day.slots} == {3}
    assert 0 < seen.shown < 0.2


def test_rounds_are_as_short_as_the_jobs() -> None:
    day = timedelta(days=1)
    assert round_of(timedelta(hours=5), day) == timedelta(seconds=30)
    assert round_of(timedelta(seconds=4), timedelta(minutes=10)) == timedelta(seconds=1)
    assert round_of(timedelta(seconds=4), day) == timedelta(seconds=4)
