"""An attempt out of thin air, as decide functions are pure; for the steps, a tower over a CE in memory."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.db.attempts import Attempt
from act_core.ids import SubmissionKey
from act_core.settings.model import Jobs, Settings, Site
from act_core.states import CeState
from tests.engine.house import CE, House, SlowCe
from tests.walk.fake_ce import World

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _attempt(state: CeState, **known: Any) -> Attempt:
    values: dict[str, Any] = dict.fromkeys(Attempt.__slots__)
    values |= {
        "id": 1,
        "version": 0,
        "app": "manual",
        "app_job_id": "j1",
        "attempt": 1,
        "attempts_left": 3,
        "key": SubmissionKey("act-tower001-0123456789abcdefghjkmnpqrs"),
        "state": state,
        "state_since": BEGINNING,
        "tries": 0,
        "reruns": 0,
        "description_id": 1,
        "created": BEGINNING,
    }
    return Attempt(**(values | known))


@pytest.fixture
def attempt() -> Callable[..., Attempt]:
    """`attempt(state, column=value, …)`."""
    return _attempt


@pytest.fixture
def now() -> datetime:
    """The moment at which all attempts of these tests were made."""
    return BEGINNING


@pytest.fixture
async def house(db_settings: Settings) -> AsyncIterator[House]:
    """A tower over a CE in memory."""
    site = Site(kind="local", patience=timedelta(hours=1))
    jobs = Jobs(checkinterval="0", checkmintime="0", fetchbackoff="1 min")
    arc = db_settings.arc.model_copy(update={"sites": {CE: site}, "jobs": jobs})
    made = House.open(db_settings.model_copy(update={"arc": arc}))
    made.end = SlowCe(World())
    yield made
    for held in made.end.held.values():
        held.set()
    await made.close()
