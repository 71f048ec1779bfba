"""Which of Prefect's lines are kept from the log. The words are Prefect's own, of a run of a few milliseconds."""

import logging
import threading
from typing import Any
from uuid import uuid4

import pytest
from prefect.concurrency import _leases

from flows import noise

GONE = "Client error '410 Gone' for url 'http://127.0.0.1/api/v2/concurrency_limits/leases/1/renew'"


class _Server:
    """Answers each renewal with the next of these words."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def renew_concurrency_lease(self, **_: Any) -> None:
        raise RuntimeError(self.answers.pop(0))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(GONE, False, id="the slot was given back"),
        pytest.param("Connection refused", True, id="no server"),
    ],
)
def test_a_slot_given_back_early_is_no_news(caplog: pytest.LogCaptureFixture, answer: str, told: bool) -> None:
    noise.hush()
    ended = threading.Event()
    ended.set()
    renewed: Any = _leases._renew_concurrency_lease_with_retries(_Server(answer), uuid4(), 300, ended)  # type: ignore[arg-type]
    assert (renewed, answer in caplog.text) == (False, told)


def test_later_attempts_are_told() -> None:
    line = logging.LogRecord(
        noise.RENEWALS, logging.WARNING, "", 0, f"Attempt 2 of … lease renewal failed: {GONE}", (), None
    )
    assert noise.without_late_renewals(line)
