"""Submissions that a CE refuses, as the error rules see them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from act_core.ce.base import Refused, SubmissionKey
from act_core.db import queries
from act_core.db.arrivals import add_jobs
from act_core.engine.judging import by_rules
from act_core.engine.submit import submit
from act_core.jobspec import JobSpec
from act_core.states import CeState
from tests.engine.house import CE, House, new
from tests.engine.test_judging import configure, hits

S = CeState


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


async def test_a_site_that_drains_costs_no_job(house: House) -> None:
    await house.jobs(1, S.SUBMITTING)
    (attempt,) = await house.read(queries.in_doubt, CE, house.now() + timedelta(hours=1), 10)
    answers = {attempt.key: Refused("New job submission is not allowed", for_good=True)}
    judged = await by_rules(house, CE, "arc-rest", {attempt.key: attempt}, answers)
    assert judged == {attempt.key: Refused("New job submission is not allowed", for_good=False)}
    assert await hits(house) == {"arc-draining": 1}


@pytest.mark.parametrize(
    ("for_good", "action", "state", "pauses"),
    [
        pytest.param(True, "resubmit", S.DONEFAILED, [1, 2, 4], id="refused for good: as often as attempts are left"),
        pytest.param(True, "rest", S.TOSUBMIT, [1, 2, 4, 8, 16], id="the CE rests: the job waits"),
        pytest.param(False, "resubmit", S.TOSUBMIT, [1, 2, 4, 8, 16], id="the CE says that it passes: the job waits"),
    ],
)
async def test_a_refused_job_is_sent_again_ever_more_rarely(
    house: House, for_good: bool, action: str, state: CeState, pauses: list[int]
) -> None:
    configure(house, rules=[{"pattern": "unsupported today", "action": action}])

    async def refuse(specs: Mapping[SubmissionKey, JobSpec], _deadline: Any = None) -> Mapping[SubmissionKey, Refused]:
        return dict.fromkeys(specs, Refused("unsupported today", for_good))

    house.end.submit = refuse  # type: ignore[assignment,method-assign]
    await house.write(add_jobs, house.tower, [new("a")], house.now())
    found = []
    for _ in range(5):
        house.ahead += timedelta(hours=2)
        before = house.now()
        await submit(house, CE)
        (row,) = await house.rows()
        found += [(row.due_at - before) // timedelta(seconds=15)] if row.due_at else []
    assert (row.state, row.error, found) == (state, "unsupported today", pauses)
