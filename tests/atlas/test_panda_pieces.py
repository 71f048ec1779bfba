"""A report that PanDA cannot take is found among its neighbours; PanDA in trouble is not asked about each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from act_core.atlas.panda_access import TokenAccess
from act_core.atlas.panda_client import SHARD, UNHEARD
from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.reports import Outcome, Update, UpdateAnswer
from act_core.errors import ProtocolError, Transient
from act_core.settings.app_model import Panda


class Picky(PandaV1):
    """A client whose server takes no call that holds one of these jobs; after so many calls it is away."""

    def __init__(self, access: TokenAccess, bad: set[int], away_after: int = 1000) -> None:
        super().__init__(Panda(), access)
        self.bad, self.left, self.calls = bad, away_after, 0

    async def _update(self, updates: Sequence[Update]) -> Mapping[int, UpdateAnswer]:
        self.calls += 1
        if self.calls > self.left:
            raise Transient("away")
        if self.bad & {update.job_id for update in updates}:
            raise ProtocolError("no JSON")
        return {update.job_id: UpdateAnswer(Outcome.ACCEPTED) for update in updates}


@pytest.fixture
def access(tmp_path: Path) -> TokenAccess:
    return TokenAccess(tmp_path, tmp_path / "token", "atlas")


UPDATES = [Update(job_id=n, job_status="running") for n in range(1, SHARD + 1)]


@pytest.mark.parametrize("bad", [{1}, {100}, {1, 2}, {50, 51, 52, 53}, {7, 77, 99}], ids=str)
async def test_bad_reports_wait_alone_and_are_blamed(access: TokenAccess, bad: set[int]) -> None:
    client = Picky(access, bad)
    answers = await client.update_jobs_bulk(UPDATES)
    assert {number for number, answer in answers.items() if answer.outcome is Outcome.REFUSED} == bad
    assert len(answers) == SHARD
    assert {answers[number].message for number in bad} == {"no JSON"}
    assert client.calls < 20 * len(bad)


async def test_a_server_that_takes_nothing_is_left_in_peace(access: TokenAccess) -> None:
    client = Picky(access, set(range(1, SHARD + 1)))
    with pytest.raises(ProtocolError):
        await client.update_jobs_bulk(UPDATES)
    assert client.calls == UNHEARD + 1


async def test_what_was_answered_before_it_went_away_counts(access: TokenAccess) -> None:
    client = Picky(access, {1}, away_after=2)  # all of them, then the half with the bad one
    with pytest.raises(Transient):
        await client.update_jobs_bulk(UPDATES)
    client = Picky(access, {2}, away_after=2)  # all of them, then the half without it
    answers = await client.update_jobs_bulk(UPDATES)
    assert sum(answer.settled for answer in answers.values()) == SHARD // 2
    assert answers[2].message == "away"
