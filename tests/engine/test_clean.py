"""What the answer to a clean means."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.ce.base import Accepted, Gone, Refused
from act_core.db import wishes
from act_core.db.attempts import Attempt
from act_core.db.models import CeJob
from act_core.decisions import Move, Stay
from act_core.engine.clean import after_clean, clean, kept
from act_core.engine.rerun import resubmit
from act_core.settings.policy import Clean
from act_core.states import ENDED, FINAL, CeState, Request
from tests.engine.house import CE, House

Make = Callable[..., Attempt]


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


@pytest.mark.parametrize("answer", [Accepted(), Gone()], ids=["accepted", "gone"])
@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_job_stays_what_it_is(attempt: Make, now: datetime, state: CeState, answer: Accepted | Gone) -> None:
    decision = after_clean(attempt(state), answer, now)
    assert isinstance(decision, Stay)
    assert decision.wish_done
    assert decision.columns == {"ce_clean_at": now, "due_at": None}


@pytest.mark.parametrize("answer", [Accepted(), Gone()], ids=["accepted", "gone"])
@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_unfetched_job_ends_without_its_outputs(
    attempt: Make, now: datetime, state: CeState, answer: Accepted | Gone
) -> None:
    decision = after_clean(attempt(state), answer, now)
    assert isinstance(decision, Move)
    assert decision.to is CeState.DONEFAILED
    assert decision.wish_done
    assert decision.columns["ce_clean_at"] == now


def test_refused_is_asked_again(attempt: Make, now: datetime) -> None:
    decision = after_clean(attempt(CeState.DONE, tries=2), Refused("it runs", for_good=True), now)
    assert isinstance(decision, Stay)
    assert not decision.wish_done
    assert decision.columns == {"due_at": now + timedelta(seconds=60), "tries": 3}


def test_no_answer_moves_nothing(attempt: Make, now: datetime) -> None:
    assert after_clean(attempt(CeState.DONE), None, now) is None


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("state", "known", "hours", "stays"),
    [
        pytest.param(CeState.DONEFAILED, {}, 0, True, id="failed"),
        pytest.param(CeState.DONEFAILED, {}, 23, True, id="within its time"),
        pytest.param(CeState.DONEFAILED, {}, 24, False, id="its time is over"),
        pytest.param(CeState.DONEFAILED, {"superseded_by": "k"}, 0, True, id="another attempt has followed"),
        pytest.param(CeState.DONEFAILED, {"due_at": 1}, 0, False, id="wished by hand"),
        pytest.param(CeState.DONEFAILED, {"ce_clean_at": 1}, 0, False, id="it has gone from there"),
        pytest.param(CeState.DONEFAILED, {"remote_id": None}, 0, False, id="it never was there"),
        *(pytest.param(state, {}, 0, False, id=f"{state}") for state in sorted((FINAL | ENDED) - {CeState.DONEFAILED})),
    ],
)
def test_what_stays_for_the_site_to_look_at(
    attempt: Make, now: datetime, state: CeState, known: dict[str, Any], hours: int, stays: bool
) -> None:
    job = attempt(state, **{"remote_id": "r1"} | known)
    decision = kept(job, now + timedelta(hours=hours), DAY)
    assert decision == (Stay({"due_at": now + DAY}) if stays else None)
    assert kept(job, now, timedelta(0)) is None


async def failed(house: House, n: int, most: int = 50) -> None:
    """So many jobs that failed, are home, and of which their application wants nothing more."""
    arc = house.settings.arc.model_copy(update={"clean": Clean(keepfailed="24 h", keepatmost=most)})
    house.settings = house.settings.model_copy(update={"arc": arc})
    await house.jobs(n, CeState.FAILED)
    for row in await house.rows():
        await house.changed(row.id, CeState.DONEFAILED)
        await house.write(wishes.wish_of, [row.id], Request.CLEAN, house.now())
        house.ahead += timedelta(seconds=1)


async def there(house: House) -> set[str]:
    return {job.name for job in house.end.world.jobs.values()}


async def test_a_failed_job_stays_for_a_day(house: House) -> None:
    await failed(house, 1)
    await clean(house, CE)
    assert await there(house) == {"j0"}
    assert await clean(house, CE) == {}
    house.ahead += DAY
    await clean(house, CE)
    assert await there(house) == set()
    (row,) = await house.rows()
    assert (row.request, row.ce_clean_at is not None) == (None, True)


async def test_by_hand_it_goes_at_once(house: House) -> None:
    await failed(house, 2)
    await clean(house, CE)
    await house.write(wishes.wish, "manual", ["j0"], Request.CLEAN, house.now())
    await clean(house, CE)
    assert await there(house) == {"j1"}


async def test_by_hand_before_anybody_else_it_goes_at_once(house: House) -> None:
    await failed(house, 1)
    await house.write(wishes.wish, "manual", ["j0"], Request.CLEAN, house.now())
    await clean(house, CE)
    assert await there(house) == set()


@pytest.mark.parametrize(("most", "stay"), [(2, {"j3", "j4"}), (0, set()), (9, {f"j{n}" for n in range(5)})])
async def test_of_many_the_newest_stay(house: House, most: int, stay: set[str]) -> None:
    await failed(house, 5, most)
    for _ in range(2):
        await clean(house, CE)
    assert await there(house) == stay


async def test_older_ones_make_place(house: House) -> None:
    await failed(house, 3, most=2)
    rows = {row.app_job_id: row.id for row in await house.rows()}
    for later in ([rows["j2"]], [], []):
        await hold_back(house, later)
        await clean(house, CE)
    assert await there(house) == {"j1", "j2"}


async def hold_back(house: House, ids: list[int]) -> None:
    """Only the others are wished away for now."""

    def write(session: Session) -> None:
        wanted = {row.id: row for row in session.scalars(select(CeJob))}
        for one, row in wanted.items():
            row.request = None if one in ids else row.request or Request.CLEAN.value

    await house.write(write)


async def test_what_was_superseded_stays_as_long(house: House) -> None:
    await failed(house, 0)
    await house.jobs(1, CeState.FAILED)
    await house.write(wishes.wish, "manual", ["j0"], Request.RESUBMIT, house.now())
    await resubmit(house, CE)
    await clean(house, CE)
    assert await there(house) == {"j0"}
    house.ahead += DAY
    await clean(house, CE)
    assert await there(house) == set()


@pytest.mark.parametrize("state", [CeState.LOST, CeState.ABANDONED])
async def test_what_may_still_run_is_killed_before_it_is_cleaned(house: House, state: CeState) -> None:
    (job,) = await house.jobs(1, CeState.RUNNING)
    await house.changed(1, state)
    house.end.world.jobs[job].state = "QUEUING"
    await house.write(wishes.wish, "manual", ["j0"], Request.CLEAN, house.now())
    await clean(house, CE)
    assert await there(house) == set()
