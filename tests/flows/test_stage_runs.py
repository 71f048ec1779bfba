"""A stage's flow runs against Prefect's server: what people read of it there."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.runtime import flow_run
from sqlalchemy import select

from act_core.db.models import Lease
from act_core.runtime import Runtime
from flows import tasks
from flows.fetch_jobs import fetch_jobs
from flows.submit import submit

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.xdist_group("prefect"),
    # Prefect's websockets for events live in threads and are closed when they are collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Run = Callable[..., Awaitable[Any]]


async def test_a_task_for_each_ce_and_counts_in_words(ran: Run, grid: Any) -> None:
    await grid.add(one=3, two=1)
    done = await ran(submit, 2, window=0)
    assert {name: run.state.message for name, run in done.tasks.items()} == {
        "submit one": "3 submitted, 3 inputs sent",
        "submit two": "1 submitted, 1 inputs sent",
    }
    assert done.state.is_completed()
    assert done.state.message == "4 submitted, 4 inputs sent"
    assert tasks._open == {}


async def test_a_ce_that_fails_is_tried_again_and_stops_nobody(ran: Run, grid: Any) -> None:
    await grid.add(one=2, broken=1)
    done = await ran(submit, 2, window=0)
    assert await grid.states() == {"one0": "submitted", "one1": "submitted", "broken0": "tosubmit"}
    assert done.tasks["submit one"].state.message == "2 submitted, 2 inputs sent"
    assert done.tasks["submit broken"].state.is_failed()
    assert "127.0.0.1" in done.tasks["submit broken"].state.message
    assert done.tasks["submit broken"].run_count == 2, "once more, then its breaker is open"
    assert done.state.is_completed()
    assert done.state.message.startswith("2 submitted, 2 inputs sent, 1 errors (broken: ")


async def test_a_pass_of_which_only_errors_came_is_red(ran: Run, grid: Any) -> None:
    await grid.add(broken=1)
    done = await ran(submit, 1, window=0, ces=["broken"])
    assert done.state.is_failed()
    assert done.state.message.startswith("1 errors (broken: ")


async def test_only_the_ces_that_were_named(ran: Run, grid: Any) -> None:
    await grid.add(one=1, two=1)
    done = await ran(submit, 1, window=0, ces=["one"])
    assert list(done.tasks) == ["submit one"]
    assert await grid.states() == {"one0": "submitted", "two0": "tosubmit"}


async def test_a_ce_that_does_not_exist_is_named(ran: Run, grid: Any) -> None:
    await grid.add(one=1)
    done = await ran(submit, 0, window=0, ces=["one", "nope"])
    assert done.state.is_failed()
    assert done.state.message == "no such CE: nope; known: broken, one, two"
    assert await grid.states() == {"one0": "tosubmit"}


async def test_a_stage_without_work_touches_no_ce(ran: Run, grid: Any) -> None:
    done = await ran(submit, 0, window=0)
    assert done.state.message == "nothing to do"
    async with Runtime.open(grid.settings) as rt:
        assert await rt.read(lambda session: session.scalars(select(Lease)).all()) == []
    idle = await ran(fetch_jobs, 0, window=60)
    assert idle.state.is_completed()
    assert idle.state.message == "nothing is configured for this stage"


async def test_a_window_that_is_much_too_late_is_skipped(grid: Any, monkeypatch: pytest.MonkeyPatch, ran: Run) -> None:
    await grid.add(one=1)
    monkeypatch.setitem(vars(flow_run), "scheduled_start_time", datetime(2026, 1, 1, tzinfo=UTC))
    done = await ran(submit, 0, window=1)
    assert (done.state.name, done.state.is_completed()) == ("SkippedLate", True)
    assert await grid.states() == {"one0": "tosubmit"}
