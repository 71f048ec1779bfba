"""What polls write when nothing or only a word of the CE has changed, and what is killed over its limit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from act_core.engine.poll import poll
from act_core.runtime import Counts
from act_core.states import CeState
from tests.engine.house import CE, House

S = CeState


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


def become(house: House, kind: str, **traits: Any) -> None:
    house.end.traits = replace(type(house.end).traits, kind=kind, **traits)


async def test_unchanged_polls_write_nothing_and_send_as_many_statements_for_many_jobs_as_for_few(house: House) -> None:
    await house.jobs(30, S.RUNNING)
    await poll(house, CE)
    versions = [row.version for row in await house.rows()]
    for _ in range(2):
        await poll(house, CE)
    assert [row.version for row in await house.rows()] == versions


async def test_a_running_job_may_be_queued_again_where_that_happens(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "QUEUING")
    await poll(house, CE)
    assert await house.states() == {job: "running"}
    become(house, "htcondor", may_go_back=True)
    await poll(house, CE)
    assert await house.states() == {job: "submitted"}


async def test_words_without_a_move_are_written_once(house: House) -> None:
    (job,) = await house.jobs(1, S.SUBMITTED)
    told = []
    for native in ("PREPARING", "PREPARING", "QUEUING", "QUEUING"):
        house.tell(job, native)
        await poll(house, CE)
        (row,) = await house.rows()
        told.append((row.native_state, row.version))
    first, again, other, last = told
    assert first == again
    assert other == last == ("QUEUING", first[1] + 1)


async def polled_beyond_the_limit(house: House) -> Counts:
    """What the poll says that finds jobs in RUNNING for too long; time in which nobody asks does not count."""
    jobs = house.settings.arc.jobs.model_copy(update={"maxtimerunning": timedelta(minutes=25)})
    house.settings = house.settings.model_copy(update={"arc": house.settings.arc.model_copy(update={"jobs": jobs})})
    counts = Counts()
    for _ in range(4):
        counts = await poll(house, CE)
        house.ahead += timedelta(minutes=10)
    return counts


async def test_jobs_over_their_limit_are_killed_and_many_at_once_only_with_the_operators_word(house: House) -> None:
    await house.jobs(4, S.RUNNING)
    counts = await polled_beyond_the_limit(house)
    rows = await house.rows()
    assert counts["over a limit"] == 4
    assert {row.request for row in rows} == {"cancel"}
    assert rows[0].error == "RUNNING for more than 25 min (jobs.maxtimerunning)"


async def test_the_brake_holds_a_limit_that_would_kill_all(house: House) -> None:
    await house.jobs(60, S.RUNNING)
    counts = await polled_beyond_the_limit(house)
    assert counts["braked"] == 60
    assert {row.request for row in await house.rows()} == {None}
