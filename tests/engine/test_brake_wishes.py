"""What is wished of living jobs without anybody who wished it: limits and error rules harm as a kill does."""

from collections.abc import Callable
from datetime import datetime

import pytest

from act_core.db.attempts import Attempt
from act_core.db.brakes import Kind
from act_core.decisions import Stay
from act_core.engine.brake import harm
from act_core.states import CeState, Request

Make = Callable[..., Attempt]
S = CeState


@pytest.mark.parametrize(
    ("state", "request_", "actor", "kind"),
    [
        pytest.param(S.HOLDING, None, "poll", Kind.KILL, id="an error rule for a job that is held"),
        pytest.param(S.RUNNING, None, "limits", Kind.KILL, id="a time limit"),
        pytest.param(S.RUNNING, Request.CANCEL, "limits", None, id="somebody wanted it dead before"),
        pytest.param(S.FAILED, None, "poll", None, id="an error rule for a job that is over"),
        pytest.param(S.SUBMITTED, None, "submit", None, id="its input is not there, so that it will never run"),
    ],
)
@pytest.mark.parametrize("wish", [Request.CANCEL, Request.RESUBMIT])
def test_what_is_wished_without_anybody(
    attempt: Make, now: datetime, state: CeState, request_: Request | None, actor: str, kind: Kind | None, wish: Request
) -> None:
    assert harm(attempt(state, request=request_), Stay(wish=wish), actor, now, None) is kind
