"""An attempt out of thin air: decide functions are pure, so that no table is needed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from act_core.db.attempts import Attempt
from act_core.ids import SubmissionKey
from act_core.states import CeState

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
