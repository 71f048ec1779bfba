"""What is wished leads to its step in the same round; where nothing is, one look is all that a round costs."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, update

from act_core.db import wishes
from act_core.db.models import CeJob
from act_core.engine.obey import obey
from act_core.runtime import Counts
from act_core.states import CeState, Request
from tests.engine.house import CE, House

S = CeState
_UNPLACED = update(CeJob).values(ce=None)


@pytest.fixture
def selects(house: House) -> Iterator[list[str]]:
    found: list[str] = []

    def hear(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(house._db.engine, "before_cursor_execute", hear)
    yield found
    event.remove(house._db.engine, "before_cursor_execute", hear)


async def test_nothing_to_do_costs_one_question(house: House, selects: list[str]) -> None:
    await house.jobs(3, S.RUNNING)
    before, selects[:] = house.end.answers, []
    assert await obey(house, CE) == Counts()
    assert len([one for one in selects if one != "BEGIN"]) == 1
    assert house.end.answers == before


@pytest.mark.parametrize(
    ("state", "request_", "then"),
    [
        (S.RUNNING, Request.CANCEL, S.CANCELLING),
        (S.RUNNING, Request.CLEAN, S.CANCELLING),
        (S.RUNNING, Request.RESUBMIT, S.CANCELLING),
        (S.FAILED, Request.RERUN, S.SUBMITTED),
        (S.FAILED, Request.RESUBMIT, S.DONEFAILED),
    ],
)
async def test_a_wish_is_obeyed_in_the_round_that_finds_it(
    house: House, state: CeState, request_: Request, then: CeState
) -> None:
    await house.jobs(1, state)
    await house.write(wishes.wish, "manual", ["j0"], request_, house.now())
    await obey(house, CE)
    assert (await house.rows())[0].state == then


async def test_what_no_ce_has_is_cancelled_by_the_round_of_any(house: House) -> None:
    await house.jobs(1, S.SUBMITTING)
    await house.changed((await house.rows())[0].id, S.TOSUBMIT)
    await house.write(lambda session: session.execute(_UNPLACED) and None)
    await house.write(wishes.wish, "manual", ["j0"], Request.CANCEL, house.now())
    await obey(house, CE)
    assert (await house.rows())[0].state == S.CANCELLED


async def test_a_submission_in_doubt_is_looked_for(house: House) -> None:
    await house.jobs(1, S.SUBMITTING)
    house.ahead += (await house.rows())[0].due_at - house.now()  # type: ignore[operator]
    await obey(house, CE)
    assert (await house.rows())[0].absent_since is not None
