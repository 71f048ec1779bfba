"""A replayed day: nothing is lost, limits hold, and what is better for the site is better in the numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from act_core.db.backlog import Waiting
from act_core.engine.fill import Limits
from act_core.engine.replay import Day, Job, replay
from act_core.engine.replayed import figures

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDLESS = 1_000_000


def job(
    number: int,
    *,
    arrived: float = 0,
    lasts: float = 60,
    share: str = "",
    cores: int = 1,
    **more: float,
) -> Job:
    """Times in minutes from the day's begin."""
    at: dict[str, Any] = {name: BEGIN + timedelta(minutes=value) for name, value in more.items()}
    waiting = Waiting(number, share, 50, cores, None, None)
    return Job(waiting, BEGIN + timedelta(minutes=arrived), timedelta(minutes=lasts), **at)


def day(jobs: list[Job], slots: int = 10, hours: float = 4, **more: Any) -> Day:
    return Day(BEGIN, BEGIN + hours * HOUR, tuple(jobs), ((BEGIN, slots),), **more)


def test_a_site_without_an_end_has_no_queue() -> None:
    trace = replay(day([job(n, arrived=n) for n in range(200)], ENDLESS), Limits(maxjobs=1000, b=1))
    assert max(trace.queued) == 0
    assert trace.started == trace.sent == 200


def test_the_limits_hold_all_the_time() -> None:
    jobs = [job(n, lasts=10 + n % 7) for n in range(300)]
    trace = replay(day(jobs, slots=20), Limits(maxjobs=25, a=0.1, b=4))
    assert all(running <= 20 for running in trace.running)
    assert all(queued <= 0.1 * 20 + 4 for queued in trace.queued)
    assert all(queued + running <= 25 for queued, running in zip(trace.queued, trace.running, strict=True))


def test_a_queue_that_is_too_short_leaves_slots_idle() -> None:
    """A start takes ten minutes, a job six: who may queue two jobs never fills twenty slots."""
    made = day([job(n, lasts=6) for n in range(2000)], slots=20, latency=timedelta(minutes=10))
    idle = [figures(replay(made, Limits(maxjobs=1000, a=0, b=b))).idle_slot_hours for b in (2, 20, 200)]
    assert idle[0] > 60
    assert idle[0] > idle[1] > idle[2]


def test_nothing_is_sent_while_the_mode_forbids_it() -> None:
    shut = ((BEGIN + HOUR, BEGIN + 2 * HOUR),)
    trace = replay(day([job(n, arrived=90) for n in range(5)], closed=shut), Limits(maxjobs=10))
    assert [one for one in trace.waits] == [timedelta(minutes=30)] * 5


def test_the_rate_is_kept() -> None:
    trace = replay(day([job(n) for n in range(100)], ENDLESS, hours=0.5), Limits(maxjobs=1000, rate=2))
    assert trace.sent == 60


def test_what_others_took_and_what_was_killed_does_not_run_here() -> None:
    jobs = [job(1), job(2, taken=30), job(3, ends=30), job(4, taken=90), job(5, sent=-10, ends=30)]
    trace = replay(day(jobs, slots=1, hours=2), Limits(maxjobs=1, b=1))
    assert trace.started == 1 + 1  # the first, and after it the one that was still there: of the others none
    assert trace.queued[-1] == 0


def test_what_was_there_before_goes_on() -> None:
    jobs = [job(1, arrived=-90, sent=-80, started=-50), job(2, arrived=-90, sent=-80)]
    trace = replay(day(jobs, slots=1), Limits(maxjobs=10))
    assert (trace.sent, trace.started, trace.ended) == (0, 1, 2)
    assert trace.waits == [timedelta(minutes=100)]


def test_a_greater_weight_goes_first() -> None:
    """Jobs of `b` are over after a minute, the others are not: how many have ended tells how many of it went."""
    made = day([job(n, share="ab"[n % 2], lasts=n % 2 or 60) for n in range(40)], ENDLESS, hours=1 / 40)
    ended = [replay(made, Limits(maxjobs=8, weights=weights)).ended for weights in ({}, {"b": 3.0})]
    assert ended == [4, 6]


lives = st.lists(
    st.tuples(st.integers(0, 180), st.integers(1, 60), st.integers(1, 3), st.sampled_from("abc")), max_size=60
)


@profile(max_examples=60, deadline=None)
@given(lives=lives, slots=st.integers(3, 12), b=st.integers(0, 20), a=st.floats(0, 1), maxjobs=st.integers(1, 40))
def test_no_job_is_lost_or_made(
    lives: list[tuple[int, int, int, str]], slots: int, b: int, a: float, maxjobs: int
) -> None:
    jobs = [
        job(n, arrived=at, lasts=lasts, cores=cores, share=share) for n, (at, lasts, cores, share) in enumerate(lives)
    ]
    made, limits = day(jobs, slots), Limits(maxjobs=maxjobs, a=a, b=b)
    trace = replay(made, limits)
    assert trace.ended <= trace.started <= trace.sent <= len(jobs)
    assert trace.sent - trace.started == trace.queued[-1]
    assert trace.waiting[-1] <= sum(one.job.cores for one in jobs)
    assert all(running <= slots for running in trace.running)
    assert all(wait >= timedelta(0) for wait in trace.waits)
    assert replay(made, limits) == trace


@profile(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(st.integers(0, 200), max_size=60),
    slots=st.integers(1, 12),
    b=st.integers(1, 10),
    more=st.integers(1, 10),
    latency=st.integers(0, 20),
)
def test_a_larger_b_never_idles_more(arrivals: list[int], slots: int, b: int, more: int, latency: int) -> None:
    """Of jobs that are alike; of others a later start may be a better one."""
    jobs = [job(n, arrived=at, lasts=20) for n, at in enumerate(sorted(arrivals))]
    made = day(jobs, slots, latency=timedelta(minutes=latency))
    less, larger = (figures(replay(made, Limits(maxjobs=1000, a=0, b=one))) for one in (b, b + more))
    assert larger.idle_slot_hours <= less.idle_slot_hours + 1e-9
    assert larger.started >= less.started


def test_a_day_without_jobs() -> None:
    found = figures(replay(day([]), Limits(maxjobs=10)))
    assert (found.max_queue, found.sent, found.mean_wait_s) == (0, 0, None)
    assert found.idle_slot_hours == pytest.approx(0)
