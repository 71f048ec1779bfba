"""A stage's flow runs against Prefect's server: what people read of it there."""

import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import PrefectClient
from prefect.runtime import flow_run
from sqlalchemy import select

from act_core.db import ces
from act_core.db.models import CeJobEvent, Lease, Run
from act_core.processes import process_start, up_file
from act_core.runtime import Runtime
from flows import tasks, telling
from flows.fetch_jobs import fetch_jobs
from flows.report import report
from flows.submit import submit
from flows.window import SCARCE, slot

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.xdist_group("prefect"),
    # Prefect's websockets for events live in threads and are closed when they are collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Runs = Callable[..., Awaitable[Any]]
TWO = ("one", "two")
WHO = Run.id == CeJobEvent.run_id


async def test_a_task_for_each_ce_and_counts_in_words(ran: Runs, grid: Any) -> None:
    await grid.add(one=3, two=1)
    done = await ran(submit, 2, window=0)
    assert {name: run.state.message for name, run in done.tasks.items()} == {
        "submit one": "3 submitted, 3 inputs sent",
        "submit two": "1 submitted, 1 inputs sent",
    }
    assert done.state.is_completed()
    assert done.state.message == "4 submitted, 4 inputs sent"
    assert tasks._open == {}
    async with Runtime.open(grid.settings) as rt:
        told = await rt.read(lambda s: s.execute(select(CeJobEvent.ce, Run.flow_run, Run.stage).join(Run, WHO)).all())
    assert {tuple(row) for row in told} == {(ce, str(done.state.state_details.flow_run_id), "submit") for ce in TWO}


async def test_a_ce_that_fails_is_tried_again_and_stops_nobody(ran: Runs, grid: Any) -> None:
    await grid.add(one=2, broken=1)
    done = await ran(submit, 2, window=0)
    assert await grid.states() == {"one0": "submitted", "one1": "submitted", "broken0": "tosubmit"}
    assert done.tasks["submit one"].state.message == "2 submitted, 2 inputs sent"
    assert done.tasks["submit broken"].state.is_failed()
    assert "127.0.0.1" in done.tasks["submit broken"].state.message
    assert done.tasks["submit broken"].run_count == 2, "once more, then its breaker is open"
    assert done.state.is_completed()
    assert done.state.message.startswith("2 submitted, 2 inputs sent, 1 errors (broken: ")


async def test_a_pass_of_which_only_errors_came_is_red(ran: Runs, grid: Any) -> None:
    await grid.add(broken=1)
    done = await ran(submit, 1, window=0, ces=["broken"])
    assert done.state.is_failed()
    assert done.state.message.startswith("1 errors (broken: ")


async def test_only_the_ces_that_were_named(ran: Runs, grid: Any) -> None:
    await grid.add(one=1, two=1)
    done = await ran(submit, 1, window=0, ces=["one"])
    assert list(done.tasks) == ["submit one"]
    assert await grid.states() == {"one0": "submitted", "two0": "tosubmit"}


async def test_only_so_many_and_only_where_these_jobs_may_go(ran: Runs, grid: Any) -> None:
    await grid.add(one=2, two=2)
    done = await ran(submit, 1, window=0, jobs=["two1"], most=1)
    assert list(done.tasks) == ["submit two"]
    assert sorted((await grid.states()).values()) == ["submitted", *["tosubmit"] * 3]
    wrong = await ran(submit, 0, window=0, jobs=["two1", "seven"])
    assert wrong.state.message == "no such job: seven (`act jobs list`)"


async def test_a_report_is_written_when_it_changed(ran: Runs, grid: Any) -> None:
    telling._told.clear()
    await grid.add(one=1, broken=1)
    await ran(submit, 2, window=0)
    first = await Artifact.aget("submit-report")
    assert first is not None
    rows = json.loads(str(first.data))
    assert [(row["key"], row["did"]) for row in rows] == [("broken", "nothing"), ("one", "1 submitted, 1 inputs sent")]
    assert "127.0.0.1" in rows[0]["trouble"]
    await grid.add(two=1)
    await ran(submit, 1, window=0)  # the CE in trouble rests, and is not asked
    again = await Artifact.aget("submit-report")
    assert again is not None
    assert again.id == first.id, "the same CE, the same trouble"
    async with Runtime.open(grid.settings) as rt:
        await rt.write(ces.went_well, "broken", rt.now())
    await ran(submit, 0, window=0, ces=["one"])
    well = await Artifact.aget("submit-report")
    assert well is not None
    assert str(well.description).startswith("all is well\n")


async def test_the_towers_report_is_written_when_it_says_something_else(ran: Runs, grid: Any) -> None:
    telling._told.clear()
    await grid.add(one=1, two=2)
    up_file(grid.state_dir).write_text(
        json.dumps({"pid": os.getpid(), "start": process_start(os.getpid()), "page": "http://127.0.0.1:1/act/"})
    )
    await ran(report, 0)
    first = await Artifact.aget("tower-report")
    assert first is not None
    assert "### waiting for a CE (tosubmit)\n\n| application | share | jobs |" in str(first.data)
    assert str(first.description).endswith(" [The page](http://127.0.0.1:1/act/)")
    assert "counted at " in str(first.description)
    telling._told.clear()  # as in the next process
    await ran(report, 0)
    again = await Artifact.aget("tower-report")
    assert again is not None
    assert again.id == first.id, "nothing has moved"
    own = await Artifact.aget("report-report")
    assert own is not None
    assert "[The page](http://127.0.0.1:1/act/)" in str(own.description)


async def test_a_ce_that_does_not_exist_is_named(ran: Runs, grid: Any) -> None:
    await grid.add(one=1)
    done = await ran(submit, 0, window=0, ces=["one", "nope"])
    assert done.state.is_failed()
    assert done.state.message == "no such CE: nope; known: broken, one, two"
    assert await grid.states() == {"one0": "tosubmit"}


async def test_a_stage_without_work_touches_no_ce(ran: Runs, grid: Any) -> None:
    done = await ran(submit, 0, window=0)
    assert done.state.message == "nothing to do"
    async with Runtime.open(grid.settings) as rt:
        assert await rt.read(lambda session: session.scalars(select(Lease)).all()) == []
    idle = await ran(fetch_jobs, 0, window=60)
    assert idle.state.is_completed()
    assert idle.state.message == "nothing is configured for this stage"


async def test_a_window_that_is_much_too_late_is_skipped(grid: Any, monkeypatch: pytest.MonkeyPatch, ran: Runs) -> None:
    await grid.add(one=1)
    monkeypatch.setitem(vars(flow_run), "scheduled_start_time", datetime(2026, 1, 1, tzinfo=UTC))
    done = await ran(submit, 0, window=1)
    assert (done.state.name, done.state.is_completed()) == ("SkippedLate", True)
    assert await grid.states() == {"one0": "tosubmit"}


async def test_a_slot_of_who_is_killed_is_free_after_a_minute(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.upsert_global_concurrency_limit_by_name(SCARCE["heartbeat"], 4)
    asked, taken = [], PrefectClient.increment_concurrency_slots_with_lease

    async def heard(self: PrefectClient, *args: Any, **named: Any) -> Any:
        asked.append(signature(taken).bind(self, *args, **named).arguments["lease_duration"])
        return await taken(self, *args, **named)

    monkeypatch.setattr(PrefectClient, "increment_concurrency_slots_with_lease", heard)
    async with slot("heartbeat"):
        held = await client.read_global_concurrency_limit_by_name(SCARCE["heartbeat"])
        assert held.active_slots == 1
    assert asked == [60.0]
