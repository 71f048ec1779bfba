"""When a dead attempt's outputs may be deleted: the rules alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.atlas import clearing
from act_core.atlas.clearing import Job, objection
from act_core.atlas.outputs import own
from act_core.atlas.pilot_word import Reported
from act_core.atlas.reports import JobStatus
from act_core.db.fences import GRACE, Fence, holds
from act_core.states import CeState

C = CeState
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONGEST = timedelta(minutes=5)

JOB = Job(1, "key", 7, 1, "Q", (), Fence(C.TOSUBMIT, NOW + timedelta(minutes=15)))


@pytest.mark.parametrize(
    ("said", "now", "words"),
    [
        (JobStatus(7, "running", 1), NOW, ""),
        (JobStatus(7, "transferring", 1), NOW, ""),
        (None, NOW, None),
        (JobStatus(7, "running", 2), NOW, "PanDA calls the job running, attempt 2"),
        (JobStatus(7, "failed", 1), NOW, "PanDA calls the job failed, attempt 1"),
        (JobStatus(7, "activated", 1), NOW, "PanDA calls the job activated, attempt 1"),
        (JobStatus(7, "not found", 0), NOW, "PanDA calls the job not found, attempt 0"),
        (JobStatus(7, "running", 1), NOW + timedelta(minutes=10), clearing.TOO_LATE),
        (None, NOW + timedelta(minutes=10), clearing.TOO_LATE),
    ],
)
def test_why_nothing_is_deleted(said: JobStatus | None, now: datetime, words: str | None) -> None:
    assert objection(JOB, said, now, LONGEST) == words


def test_without_the_next_attempts_row_nothing_is_deleted() -> None:
    assert objection(replace(JOB, fence=None), JobStatus(7, "running", 1), NOW, LONGEST) == clearing.TOO_LATE


@pytest.mark.parametrize(
    ("lfn", "url", "is_own"),
    [
        ("a", "https://se/x/a", True),
        ("log", "root://se//x/log", True),
        ("a", "https://se/x/b", False),
        ("a", "https://se/x/a/", False),
        ("b", "https://se/x/b", False),
        ("a", None, False),
        ("a", "https://[se/x/a", False),
    ],
)
def test_what_is_a_jobs_own(lfn: str, url: str | None, is_own: bool) -> None:
    job = {"outFiles": "a,log", "logFile": "log"}
    assert bool(own(job, [Reported(lfn, url, 1, None)])) is is_own


seconds = st.integers(-3600, 3600).map(lambda s: timedelta(seconds=s))
durations = st.integers(0, 1800).map(lambda s: timedelta(seconds=s))


@given(
    state=st.sampled_from(list(CeState)),
    until=st.none() | seconds.map(lambda s: NOW + s),
    longest=durations,
    took=st.floats(0, 1),
    waited=durations,
)
def test_a_deed_that_the_fence_permits_is_over_before_anybody_may_pass(
    state: CeState, until: datetime | None, longest: timedelta, took: float, waited: timedelta
) -> None:
    """Whenever it begins, however long it takes: the attempt cannot be submitted, and had not been."""
    begun = NOW + waited
    if not holds(Fence(state, until), begun, longest):
        return
    assert state is C.TOSUBMIT
    assert until is not None
    ends = begun + longest * took
    assert ends + GRACE <= until  # `fences.passed`: no submission takes it before


@given(moments=st.lists(seconds, min_size=1, max_size=20))
def test_a_fence_that_has_fallen_never_stands_again(moments: Sequence[timedelta]) -> None:
    fence = Fence(C.TOSUBMIT, NOW)
    answers = [holds(fence, NOW + moment, timedelta(0)) for moment in sorted(moments)]
    assert answers == sorted(answers, reverse=True)
