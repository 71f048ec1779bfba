"""The original's bugs by their numbers (docs/bugs.md), continued: what made it slow, fragile, or stopped it."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from act_core.apps import Part
from act_core.ce import arc_dialect
from act_core.ce.base import Facts, RemoteId
from act_core.ce.registry import open_ce
from act_core.db import leases, queries
from act_core.db.arrivals import add_jobs
from act_core.db.due import due_ces
from act_core.db.models import CeJob
from act_core.engine.fetch import fetch, plan
from act_core.engine.poll import poll
from act_core.engine.submit import submit
from act_core.errors import ActError, CredentialError, Transient
from act_core.jobspec import JobSpec
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Site
from act_core.settings.policy import Voms
from act_core.stages import Tower
from act_core.states import CeState
from tests.engine.house import CE, House, new

S = CeState
Make = Callable[..., Any]

BUGS = Path(__file__).parents[2] / "docs" / "bugs.md"


@pytest.fixture
def database() -> str:
    """What the tables do with it is told in tests/db."""
    return "sqlite"


async def statements(house: House, step: Callable[[Runtime, str], Any]) -> list[str]:
    """What one round of a step sends."""
    sent: list[str] = []

    def hear(_c: Any, _k: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    engine = house._db.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        await step(house, CE)
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    return sent


async def test_bug_14_without_a_list_of_files_all_come_home_and_what_fails_waits(house: House, attempt: Make) -> None:
    assert plan(house.settings, attempt(S.FINISHED), JobSpec(executable="x")).patterns == ("/",)
    (job,) = await house.jobs(1, S.FINISHED)
    due = []
    for _ in range(3):
        house.end.trouble[job] = Transient("no")
        with suppress(ActError):
            await fetch(house, CE)
        (row,) = await house.rows()
        assert row.due_at is not None
        due.append(row.due_at - house.now())
        house.ahead += timedelta(hours=1)
    assert timedelta(seconds=30) < due[0] < timedelta(minutes=2) < due[1]
    assert row.state == "finished"


async def test_bug_15_a_proxy_that_is_missing_is_a_sentence_and_moves_no_row(house: House, tmp_path: Path) -> None:
    arc = house.settings.arc.model_copy(update={"voms": Voms(proxypath=tmp_path / "none")})
    settings = house.settings.model_copy(update={"arc": arc})
    ce = open_ce(settings, CE, house.now, Site(endpoint="https://127.0.0.1:9/arex"))
    with pytest.raises(CredentialError, match="none"):
        await ce.clean([RemoteId("a1")])
    await ce.close()


@pytest.mark.parametrize("mode", ["offline", "abandoned"])
async def test_bug_17_a_ce_that_is_out_of_service_is_not_looked_at_again_and_again(house: House, mode: str) -> None:
    await house.jobs(1, S.RUNNING)

    def out(session: Session) -> None:
        row = queries.ce_row(session, CE)
        assert row is not None
        row.mode = mode

    await house.write(out)
    for stage in ("submit", "sweep-status", "fetch-validate", "clean"):
        assert await house.read(due_ces, stage, house.now()) == []


async def test_bug_18_one_ces_round_that_breaks_stops_no_others(house: House) -> None:
    went: list[str] = []

    async def run(_rt: Runtime, key: str) -> Counts:
        if key == "bad":
            raise Transient("dead")
        went.append(key)
        return Counts()

    tower = Tower(house, apps=())
    part = Part("submit", "test", lambda _rt: None, run)  # type: ignore[arg-type,return-value]
    done = await asyncio.gather(*(tower.round(part, key) for key in ("bad", "a", "b")), return_exceptions=True)
    assert sorted(went) == ["a", "b"]
    assert isinstance(done[0], Transient)


async def test_bug_20_a_round_that_breaks_gives_its_lease_back(house: House) -> None:
    async def breaks(_rt: Runtime, _key: str) -> Counts:
        raise Transient("no")

    part = Part("submit", "test", lambda _rt: None, breaks)  # type: ignore[arg-type,return-value]
    with pytest.raises(Transient):
        await Tower(house, apps=()).round(part, CE)
    assert await house.write(leases.take, "submit/test", CE, "somebody:1:1", house.now()) is not None


async def test_bug_21_many_jobs_cost_as_many_statements_as_few_and_unchanged_ones_are_not_written(house: House) -> None:
    jobs = await house.jobs(40, S.RUNNING)
    await poll(house, CE)
    still = await statements(house, poll)
    assert not [one for one in still if one.startswith(("UPDATE ce_jobs", "INSERT"))]
    for job in jobs[:2]:
        house.tell(job, "FINISHED")
    few = len(await statements(house, poll))
    for job in jobs[2:]:
        house.tell(job, "FINISHED")
    assert len(await statements(house, poll)) == few


async def test_bug_22_limits_cost_no_statement_and_touch_no_other_ces_jobs(house: House) -> None:
    await house.jobs(2, S.RUNNING)
    await poll(house, CE)
    before = len(await statements(house, poll))
    rows = [as_row(row) for row in await house.rows()]
    old = {"ce": "other", "native_state": "RUNNING", "native_since": house.now() - timedelta(days=99)}
    strangers = [row | old | {"id": 100 + n, "app_job_id": f"x{n}"} for n, row in enumerate(rows * 10)]
    for n, row in enumerate(strangers):
        row["submission_key"] = f"act-tower001-{n:026d}"
    await house.write(lambda session: session.execute(insert(CeJob), strangers) and None)
    assert len(await statements(house, poll)) == before
    assert {row.request for row in await house.rows()} == {None}


def as_row(row: CeJob) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in CeJob.__table__.columns}


async def test_bug_26_documents_are_asked_for_only_of_jobs_that_moved(house: House) -> None:
    jobs = await house.jobs(5, S.RUNNING)
    asked: list[RemoteId] = []
    original = house.end.details

    async def watched(ids: Any) -> Mapping[RemoteId, Facts]:
        asked.extend(ids)
        return await original(ids)

    house.end.details = watched  # type: ignore[method-assign]
    await poll(house, CE)
    assert asked == []
    house.tell(jobs[3], "FAILED")
    await poll(house, CE)
    assert asked == [jobs[3]]


async def test_bug_27_the_highest_priority_goes_first_and_a_bad_ce_is_left_in_peace(house: House) -> None:
    ordered = [new(f"p{priority}", priority=priority) for priority in (10, 90, 50, 70)]
    await house.write(add_jobs, house.tower, ordered, house.now())
    await submit(house, CE)  # three a batch
    sent = {row.app_job_id for row in await house.rows() if row.remote_id}
    assert sent == {"p90", "p70", "p50"}


async def test_bug_28_long_words_of_a_ce_are_cut_and_the_job_goes_on(house: House) -> None:
    (job,) = await house.jobs(1, S.RUNNING)
    house.tell(job, "FAILED", error="e" * 5000, node="n" * 999)
    await poll(house, CE)
    (row,) = await house.rows()
    assert (row.state, len(row.error or ""), len(row.node or "")) == ("failed", 1024, 255)


def test_bug_28_a_long_word_for_a_state_is_cut() -> None:
    assert len(arc_dialect.seen("X" * 500).native) == 64


def _rows() -> dict[int, list[str]]:
    found = re.findall(r"^\| (\d+) \|(.*)\|$", BUGS.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(number): cells.split("|") for number, cells in found}


def test_the_page_of_bugs_tells_of_all_and_names_tests_that_there_are() -> None:
    rows, root = _rows(), BUGS.parents[1]
    assert sorted(rows) == list(range(1, 38))
    tests = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").glob("*/test_bugs*.py"))
    numbers = {int(number) for number in re.findall(r"def test_bug_(\d\d)_", tests)}
    for number, (_bug, answer) in rows.items():
        named = re.findall(r"`(tests/[a-z_/]+\.py)::([a-z_0-9]+)`", answer)
        for file, test in named:
            assert f"def {test}(" in (root / file).read_text(encoding="utf-8"), f"bug {number}: {file} has no {test}"
        assert (f"`test_bug_{number:02}_…`" in answer) == (number in numbers)
        assert named or number in numbers or "cannot be" in answer, f"bug {number} has neither test nor reason"
