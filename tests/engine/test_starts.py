"""That jobs begin at a CE is remembered, and what it says of itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from act_core.ce.base import Capacity
from act_core.db import ces
from act_core.db.attempts import Attempt
from act_core.db.models import Ce
from act_core.decisions import Decision, Move, Stay
from act_core.engine.capacity import ask_capacity
from act_core.engine.starts import EVERY, begins, starts
from act_core.states import CeState
from tests.engine.house import CE, House

Make = Callable[..., Attempt]
S = CeState


@pytest.mark.parametrize(
    ("state", "decision", "begun"),
    [
        pytest.param(S.SUBMITTED, Move(S.RUNNING, "x"), True, id="queued, now running"),
        pytest.param(S.HOLDING, Move(S.FINISHED, "x"), True, id="it has run meanwhile"),
        pytest.param(S.SUBMITTED, Move(S.FAILED, "x"), False, id="failed: it may never have begun"),
        pytest.param(S.SUBMITTED, Move(S.HOLDING, "x"), False, id="still queued"),
        pytest.param(S.RUNNING, Move(S.FINISHED, "x"), False, id="it began long ago"),
        pytest.param(S.SUBMITTED, Stay({"absent_since": None}), False, id="nothing moved"),
    ],
)
def test_what_is_a_start(attempt: Make, state: CeState, decision: Decision, begun: bool) -> None:
    assert begins({attempt(state): decision}) is begun


async def _row(house: House) -> Ce:
    return (await house.read(ces.all_ces))[0]


async def test_a_start_is_written_now_and_then(house: House, attempt: Make) -> None:
    begun: dict[Attempt, Decision] = {attempt(S.SUBMITTED): Move(S.RUNNING, "x")}
    seen = []
    for ahead in (timedelta(0), EVERY / 2, EVERY):
        house.ahead += ahead
        await starts(house, CE, begun)
        seen.append((await _row(house)).last_start)
    assert seen[0] == seen[1]
    assert seen[2]
    assert seen[0]
    assert seen[2] > seen[0]


async def test_what_a_ce_says_of_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def said() -> Capacity:
        return Capacity(total_slots=8, queues=("long",))

    assert not await ask_capacity(house, CE)
    assert (await _row(house)).capacity_at is None  # it said nothing
    monkeypatch.setattr(house.end, "capacity", said)
    counts: list[Any] = [await ask_capacity(house, CE) for _ in range(2)]
    assert counts == [{"sizes": 1}, {}]
    row = await _row(house)
    assert (row.capacity, row.capacity_at is not None) == ({"total_slots": 8, "queues": ["long"]}, True)
