"""How long a job may stay in one state of its CE."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from act_core.ce.base import RemoteId, Seen
from act_core.db.attempts import Attempt
from act_core.engine.limits import WORDS, after_limit, after_total, another, limit_name, span
from act_core.engine.poll import poll
from act_core.settings.limits import Limits
from act_core.settings.model import Jobs
from act_core.states import FINAL, CeState, Request
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState
LIMITS = Limits(maxtimerunning="10 min", maxtimehold="20 min", maxtimeheld="5 min", maxtimequeuing="0")


def test_each_word_falls_under_a_limit_that_can_be_set() -> None:
    names = {f"maxtime{name}" for name in WORDS.values()} | {"maxtimeheld", "maxtimefinished", "maxtimetotal"}
    assert names == set(Limits.model_fields)
    assert names <= set(Jobs.model_fields)


@pytest.mark.parametrize(
    ("native", "kind", "name"),
    [
        ("RUNNING", "arc-rest", "running"),
        ("EXITINGLRMS", "arc-rest", "running"),
        ("RUNNING/COMPLETED", "htcondor", "running"),
        ("HELD", "arc-rest", "hold"),
        ("HELD 13/2", "htcondor", "held"),
        ("IDLE, waits for its inputs", "htcondor", "idle"),
        ("TRANSFERRING_OUTPUT", "htcondor", "finishing"),
        ("KILLING", "arc-rest", None),
        ("NEVERHEARD", "arc-rest", None),
        (None, "arc-rest", "undefined"),
    ],
)
def test_which_limit_a_word_falls_under(native: str | None, kind: str, name: str | None) -> None:
    assert limit_name(native, kind) == name


@pytest.mark.parametrize(
    ("native", "word", "changed"),
    [
        ("ACCEPTING", "ACCEPTED", False),
        ("ACCEPTED", "PREPARING", True),
        ("RUNNING", "EXECUTED", False),
        ("HELD 13/2", "HELD 12/0", False),
        ("RUNNING", "KILLING", False),
        (None, "ACCEPTING", True),
    ],
)
def test_a_word_is_written_down_when_another_limit_holds(
    attempt: Make, native: str | None, word: str, changed: bool
) -> None:
    assert another(attempt(S.SUBMITTED, native_state=native), word) is changed
    assert not another(attempt(S.CANCELLING, native_state=native), word)


@pytest.mark.parametrize(
    ("state", "known", "kind", "minutes", "killed"),
    [
        pytest.param(S.RUNNING, {"native_state": "RUNNING"}, "arc-rest", 10, False, id="at its limit"),
        pytest.param(S.RUNNING, {"native_state": "RUNNING"}, "arc-rest", 11, True, id="over it"),
        pytest.param(S.HOLDING, {"native_state": "HELD"}, "arc-rest", 11, False, id="held by ARC"),
        pytest.param(S.HOLDING, {"native_state": "HELD 1/0"}, "htcondor", 11, True, id="held by HTCondor"),
        pytest.param(S.SUBMITTED, {"native_state": "QUEUING"}, "arc-rest", 99999, False, id="no limit is set"),
        pytest.param(S.SUBMITTED, {"native_state": "KILLING"}, "arc-rest", 99999, False, id="a word without limit"),
        pytest.param(S.SUBMITTED, {}, "arc-rest", 24 * 60 + 1, True, id="never a word"),
        pytest.param(
            S.RUNNING, {"native_state": "RUNNING", "request": Request.CANCEL}, "local", 99, False, id="killed already"
        ),
        pytest.param(
            S.RUNNING, {"native_state": "RUNNING", "request": Request.FETCH}, "local", 99, True, id="outputs wanted"
        ),
        pytest.param(S.CANCELLING, {"native_state": "RUNNING"}, "local", 99, False, id="being killed"),
        *(
            pytest.param(state, {"native_state": "RUNNING"}, "local", 99, False, id=f"{state}")
            for state in sorted(FINAL)
        ),
    ],
)
def test_what_is_over_its_limit_is_killed(
    attempt: Make, now: datetime, state: S, known: dict[str, Any], kind: str, minutes: int, killed: bool
) -> None:
    decision = after_limit(attempt(state, **known), now + timedelta(minutes=minutes), LIMITS, kind)
    assert (decision is not None) is killed
    if decision:
        assert decision.wish is Request.CANCEL
        assert "(jobs.maxtime" in str(decision.reason)
        assert decision.columns["error"] in str(decision.reason)


def test_the_time_counts_from_when_the_word_was_first_heard(attempt: Make, now: datetime) -> None:
    job = attempt(S.RUNNING, native_state="RUNNING", native_since=now + timedelta(minutes=5))
    assert after_limit(job, now + timedelta(minutes=15), LIMITS, "local") is None
    assert after_limit(job, now + timedelta(minutes=15, seconds=1), LIMITS, "local") is not None


@pytest.mark.parametrize(
    ("state", "known", "days", "killed"),
    [
        pytest.param(S.RUNNING, {}, 30, False, id="at its limit"),
        pytest.param(S.RUNNING, {}, 31, True, id="over it"),
        pytest.param(S.HOLDING, {"native_state": "a new word"}, 31, True, id="whatever the CE says"),
        pytest.param(S.CANCELLING, {}, 31, False, id="being killed"),
        pytest.param(S.RUNNING, {"request": Request.RESUBMIT}, 31, False, id="killed already"),
        pytest.param(S.FINISHED, {}, 31, False, id="ended"),
        pytest.param(S.RUNNING, {"send_deadline": None}, 31, False, id="nobody knows when it was sent"),
    ],
)
def test_what_was_sent_too_long_ago_is_killed(
    attempt: Make, now: datetime, state: S, known: dict[str, Any], days: int, killed: bool
) -> None:
    job = attempt(state, **({"send_deadline": now, "native_since": now + timedelta(days=days)} | known))
    decision = after_total(job, now + timedelta(days=days), Limits())
    assert (decision is not None) is killed
    assert after_total(job, now + timedelta(days=days), Limits(maxtimetotal="0")) is None
    if decision:
        assert (decision.wish, "(jobs.maxtimetotal)" in str(decision.reason)) == (Request.CANCEL, True)


@pytest.mark.parametrize("database", ["sqlite"])
async def test_a_job_that_goes_to_and_fro_does_not_live_for_ever(house: House) -> None:
    """Each change of its CE's word begins the time of that word anew."""
    (job,) = await house.jobs(1, S.SUBMITTED)
    for day in range(32):
        house.tell(job, ("HELD", "QUEUING")[day % 2])
        await poll(house, CE)
        (row,) = await house.rows()
        assert (row.request, row.state) == (
            (None, ("holding", "submitted")[day % 2]) if day < 31 else ("cancel", row.state)
        )
        house.ahead += timedelta(days=1)
    assert row.error == "not over 30 d after it was sent (jobs.maxtimetotal)"
    house.tell(job, "FINISHED")
    await poll(house, CE)
    assert await house.states() == {job: S.FINISHED}


@pytest.mark.parametrize("database", ["sqlite"])
async def test_what_has_ended_at_last_is_not_killed(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.ahead += timedelta(days=31)
    house.tell(job, "FINISHED")

    async def nothing(_ids: Any) -> dict[RemoteId, Seen]:
        return {}  # the fresh list of ended jobs does not have it yet

    house.end.ended = nothing  # type: ignore[assignment,method-assign]
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, row.request) == (S.FINISHED, None)


@pytest.mark.parametrize(
    ("time", "words"),
    [({"days": 9}, "9 d"), ({"hours": 36}, "36 h"), ({"minutes": 90}, "90 min"), ({"seconds": 61}, "61 s")],
)
def test_times_as_an_operator_writes_them(time: dict[str, int], words: str) -> None:
    assert span(timedelta(**time)) == words
