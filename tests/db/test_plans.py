"""Every named question goes through an index: the plans of both databases, over some thousand rows."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from act_core.atlas import workers
from act_core.db import (
    archive,
    backlog,
    brakes,
    claims,
    cleaning,
    due,
    endings,
    evidence,
    explaining,
    fences,
    filling,
    histories,
    orphans,
    outlook,
    queries,
    rebuilding,
    recovery,
    reruns,
    rules,
    sealed,
    silence,
    wishes,
)
from act_core.db.attempts import as_attempt, attempts
from act_core.db.backlog import Gate
from act_core.db.brakes import Kind
from act_core.db.models import Ce, CeJob, CeJobArchive, Placement, PlacementCe
from act_core.db.policy_models import BrakeRow
from act_core.db.recovery import OfCe, Stand, Told
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.ids import RemoteId, SubmissionKey
from act_core.states import CeState, Request
from tests.fixtures.databases import Servers
from tests.fixtures.plans import assert_reads_none_whole, filled, scans, sent

pytestmark = pytest.mark.xdist_group("plans")  # one worker fills the tables, once
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CES, ROWS = 20, 4000
BIG = {"ce_jobs", "ce_jobs_archive"}  # never read whole
FILLED = {*BIG, "ces", "placement_ces", "job_descriptions"}
STATES = ("tosubmit", "submitting", "submitted", "running", "finished", "failed", "cancelling")  # the rest is at rest


def row_of(n: int) -> dict[str, Any]:
    busy = n % 20 == 0
    state = STATES[n // 20 % len(STATES)] if busy else "done"
    waits = state == "tosubmit"
    return {
        "id": n + 1,
        "app": "manual",
        "app_job_id": f"j{n}",
        "attempt": 1,
        "attempts_left": 3,
        "submission_key": f"act-tower001-{n:026d}",
        "placement_id": n % CES + 1,
        "ce": None if waits else f"ce{n % CES + 1}",
        "state": state,
        "state_since": NOW,
        "request": {0: "clean", 20: "cancel", 40: "fetch", 60: "resubmit"}.get(n % 400),
        "remote_id": None if waits else f"r{n}",
        "due_at": NOW if state in ("submitting", "submitted") else None,
        "news": n % 100 == 0,
        "released_at": NOW - timedelta(days=1) if n % 50 == 1 else None,
        "ce_clean_at": None if busy else NOW,
        "ended_at": None if busy else NOW - timedelta(minutes=n),
        "wall_s": n,
        "description_id": 1,
        "created": NOW,
        "modified": NOW - timedelta(seconds=n),
    }


def places(session: Session) -> None:
    """CEs, and for each the placement of jobs that may go there alone."""
    names = [f"ce{n}" for n in range(1, CES + 1)]
    session.execute(insert(Ce), [{"name": name, "kind": "local", "maxjobs": 10, "modified": NOW} for name in names])
    session.execute(insert(Placement), [{"id": n, "digest": str(n)} for n in range(1, CES + 1)])
    session.execute(insert(PlacementCe), [{"placement_id": n, "ce": f"ce{n}"} for n in range(1, CES + 1)])


def _fill(session: Session) -> None:
    places(session)
    for start in range(0, ROWS, 1000):
        rows = [row_of(n) for n in range(start, start + 1000)]
        session.execute(insert(CeJob), rows)
        older = [row | {"id": row["id"] + ROWS, "submission_key": f"act-older-{row['id']:026d}"} for row in rows]
        session.execute(insert(CeJobArchive), older)


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of this module's own, filled once."""
    with filled(servers, request.param, tmp_path_factory.mktemp("plans"), NOW, _fill, FILLED) as db:
        yield db


def _settle(session: Session) -> None:
    picked = [as_attempt(row) for row in session.execute(attempts().where(CeJob.id.in_([1, 21])))]
    moves = {a: Move(CeState.SUBMITTING if a.state is CeState.TOSUBMIT else CeState.VOID, "x") for a in picked}
    claims.settle(session, moves, NOW, "test")


SHORT = Gate(timedelta(hours=1), timedelta(hours=2))
KEYS = [SubmissionKey(f"act-tower001-{n:026d}") for n in range(30)]
LEFT_OUT = OfCe("ce1", Told.WITHOUT)
STAND = Stand(NOW, recovery.NEW, recovery.TOWER, ())
IDS = [RemoteId(f"r{n}") for n in range(0, 600, 20)]
QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "ce_row": lambda s: queries.ce_row(s, "ce1"),
    "specs": lambda s: queries.specs(s, [1, 2]),
    "awaiting_inputs": lambda s: queries.awaiting_inputs(s, "ce1", NOW, 100),
    "in_doubt": lambda s: queries.in_doubt(s, "ce1", NOW, 100),
    "living": lambda s: queries.living(s, "ce1"),
    "living_among": lambda s: queries.living_among(s, "ce1", IDS),
    "to_fetch": lambda s: queries.to_fetch(s, "ce1", NOW, 100),
    "wished": lambda s: queries.wished(s, "ce1", [Request.CANCEL], NOW, 100),
    "tasks": lambda s: queries.tasks(s, "ce1", NOW),
    "uncared": queries.uncared,
    "wished_over": lambda s: queries.wished_over(s, ["ce1", "ce2"], [Request.CANCEL, Request.RESUBMIT], 100),
    "requests": lambda s: queries.requests(s, [1, 2]),
    "awake": lambda s: queries.awake(s, ["ce1", "ce2"], NOW),
    "wished_unplaced": lambda s: queries.wished_unplaced(s, 100),
    "by_keys": lambda s: queries.by_keys(s, KEYS),
    "with_news": lambda s: queries.with_news(s, "manual", 100),
    "due_ces": lambda s: due.due_ces(s, "submit", NOW),
    "due_ces (full)": lambda s: due.due_ces(s, "submit", NOW, ["ce1", "ce2"]),
    "due_ces (poll)": lambda s: due.due_ces(s, "sweep-status", NOW),
    "due_ces (fetch)": lambda s: due.due_ces(s, "fetch-validate", NOW),
    "due_ces (clean)": lambda s: due.due_ces(s, "clean", NOW),
    "ces_with_jobs": lambda s: due.ces_with_jobs(s, NOW),
}
FILLING: dict[str, Callable[[Session], Any]] = {
    "filling.locked": lambda s: filling.locked(s, "ce1"),
    "filling.standing": lambda s: filling.standing(s, "ce1"),
    "backlog.waiting": lambda s: backlog.waiting(s, "ce1", NOW, 100, timedelta(0)),
    "backlog.waiting (the first)": lambda s: backlog.waiting(s, "ce1", NOW, 1, timedelta(0), SHORT.shut),
    "backlog.any_waits": lambda s: backlog.any_waits(s, "ce1", NOW, timedelta(0)),
    "backlog.waiting (short ones)": lambda s: backlog.waiting(s, "ce1", NOW, 100, timedelta(0), SHORT.passed),
    "filling.queued_since": lambda s: filling.queued_since(s, "ce1"),
    "filling.late": lambda s: filling.late(s, NOW, 100),
    "filling.picked": lambda s: filling.picked(s, [1, 21]),
    "backlog.shares": lambda s: backlog.shares(s, "ce1"),
    "backlog.waits_for": lambda s: backlog.waits_for(s, "ce1"),
    "backlog.sole_shares": lambda s: backlog.sole_shares(s, "ce1", ["ce2"]),
    "filling.is_empty": lambda s: filling.is_empty(s, "ce1"),
    "endings.endings": lambda s: endings.endings(s, NOW - timedelta(minutes=2)),
    "endings.outcomes": lambda s: endings.outcomes(s, [1, 2]),
}
EXPLAINING: dict[str, Callable[[Session], Any]] = {
    "explaining.at_ce": lambda s: explaining.at_ce(s, "ce1"),
    "explaining.waiting_for": lambda s: explaining.waiting_for(s, "ce1"),
    "explaining.neighbours": lambda s: explaining.neighbours(s, "ce1", 9),
    "explaining.ended_badly": lambda s: explaining.ended_badly(s, "ce1", NOW - timedelta(seconds=90), 100),
    "explaining.stands": lambda s: explaining.stands(s, ["ce1"]),
    "explaining.missing": lambda s: explaining.missing(s, "ce1"),
    "explaining.ended_well": lambda s: explaining.ended_well(s, "ce1", NOW - timedelta(seconds=90)),
}
ERRORS: dict[str, Callable[[Session], Any]] = {
    "rules.held_shares": lambda s: rules.held_shares(s, "ce1", NOW),
    "rules.app_job_ids": lambda s: rules.app_job_ids(s, [1, 21]),
    "rules.count": lambda s: rules.count(s, [rules.Hit("r", "ce1", 1, 1)], NOW, timedelta(minutes=10)),
    "histories.histories": lambda s: histories.histories(s, "manual", ["j1", "j2"]),
    "sealed.sealed_texts": lambda s: sealed.sealed_texts(s, [1, 2]),
    "sealed.wipe": lambda s: sealed.wipe(s, "manual", ["j1", "j2"]),
    "cleaning.kept": lambda s: cleaning.kept(s, "ce1", NOW, 3),
}
SINCE = NOW - timedelta(minutes=10)
WEIGHED = brakes.Weighed("ce:ce1", Kind.LOSE, "ce:ce1", 90, 100, 50)
BRAKE = BrakeRow(scope="ce:ce1", kind="lose", source="ce:ce1", n=90)
SAFETY: dict[str, Callable[[Session], Any]] = {
    "brakes.numbers": lambda s: brakes.numbers(s, "ce1", Kind.LOSE, "ce:ce1", ["a", "b"], SINCE, NOW),
    "brakes.numbers (void)": lambda s: brakes.numbers(s, "ce1", Kind.VOID, "ce:ce1", [], SINCE, NOW),
    "brakes.engage": lambda s: brakes.engage(s, WEIGHED, timedelta(minutes=10), NOW, {}),
    "brakes.marked": lambda s: brakes.marked(s, BRAKE),
    "brakes.struck_since": lambda s: brakes.struck_since(s, BRAKE, SINCE),
    "evidence.missing": lambda s: evidence.missing(s, "ce1", Kind.LOSE),
    "evidence.would_move": lambda s: evidence.would_move(s, BRAKE),
    "orphans.expected": lambda s: orphans.expected(s, "ce1"),
    "orphans.living": lambda s: orphans.living(s, "ce1"),
    "orphans.returned": lambda s: orphans.returned(s, KEYS),
    "orphans.places": lambda s: orphans.places(s, KEYS),
    "orphans.wait_after_restore": lambda s: orphans.wait_after_restore(s, NOW),
    "orphans.strange": orphans.strange,
    "recovery.hold": lambda s: recovery.hold(s, NOW, NOW),
    "recovery.end": lambda s: recovery.end(s, STAND, NOW),
    "recovery.end without": lambda s: recovery.end(s, replace(STAND, ces=(LEFT_OUT,)), NOW),
    "rebuilding.known": lambda s: rebuilding.known(s, {("manual", f"j{n}") for n in range(5)}),
    "orphans.sight": lambda s: orphans.sight(s, "ce1", {IDS[0]: (KEYS[0], True)}, NOW),
    "silence.on_ces": lambda s: silence.on_ces(s, ["ce1", "ce2"]),
    "silence.by_state": lambda s: silence.by_state(s, "ce1"),
    "silence.there": lambda s: silence.there(s, "ce1", 0, 100),
    "silence.by_identity": lambda s: silence.by_identity(s, "ce1"),
    "silence.of_identity": lambda s: silence.of_identity(s, "ce1", 1, 0, 100),
    "silence.by_state_before": lambda s: silence.by_state_before(s, "ce1", NOW),
    "silence.of_before": lambda s: silence.of_before(s, "ce1", NOW, 0, 100),
}
SAFETY |= {
    "outlook.outlooks": lambda s: outlook.outlooks(s, "ce1"),
    "outlook.with_living_jobs": outlook.with_living_jobs,
    "outlook.told_of": outlook.told_of,
}
ATLAS: dict[str, Callable[[Session], Any]] = {
    "workers.attempts_of": lambda s: workers.attempts_of(s, "manual", ["j1", "j2"]),
}
DEEDS: dict[str, Callable[[Session], Any]] = {
    "settle": _settle,
    "hear": lambda s: claims.hear(s, [as_attempt(row) for row in s.execute(attempts().where(CeJob.id == 1))]),
    "wish": lambda s: wishes.wish(s, "manual", ["j1", "j2"], Request.CLEAN, NOW),
    "wishes.waiting": lambda s: wishes.waiting(s, "manual", ["j1", "j2"]),
    "wishes.withdraw": lambda s: wishes.withdraw(s, {("manual", "j1"), ("manual", "j2")}, NOW),
    "wish_of": lambda s: wishes.wish_of(s, [1, 21], Request.CLEAN, NOW),
    "fences.of": lambda s: fences.of(s, KEYS, lock=True),
    "fences.lift": lambda s: fences.lift(s, KEYS),
    "reruns.standing": lambda s: reruns.standing(s, "manual", ["j1", "j2"]),
    "release": lambda s: wishes.release(s, "manual", ["j1", "j2"], NOW),
    "archive": lambda s: archive.archive_attempts(s, NOW - timedelta(seconds=ROWS // 2)),
}


def test_every_named_question_is_here() -> None:
    found = {fn for module in (queries, due) for fn in vars(module).values() if inspect.isfunction(fn)}
    own = {fn for fn in found if fn.__module__ in (queries.__name__, due.__name__)}
    asked = {fn.__name__ for fn in own if next(iter(inspect.signature(fn).parameters), "") == "session"}
    assert {name.partition(" ")[0] for name in QUESTIONS} == asked


@pytest.mark.parametrize("name", [*QUESTIONS, *FILLING, *EXPLAINING, *ERRORS, *SAFETY, *ATLAS, *DEEDS])
def test_no_question_reads_a_big_table_whole(full: Database, name: str) -> None:
    assert_reads_none_whole(full, name, (QUESTIONS | FILLING | EXPLAINING | ERRORS | SAFETY | ATLAS | DEEDS)[name], BIG)


def test_a_plan_without_an_index_shows(full: Database) -> None:
    """The test of this test."""
    statement = "SELECT id FROM ce_jobs WHERE node = 'x'"
    assert scans(full.engine, statement, ()) == {"ce_jobs"}


def test_the_counts_of_a_ce_come_out_of_an_index_alone(full: Database) -> None:
    ((statement, parameters),) = sent(full, lambda s: filling.standing(s, "ce1"))
    words = "EXPLAIN QUERY PLAN" if full.engine.dialect.name == "sqlite" else "EXPLAIN"
    with full.engine.connect() as connection:
        plan = str(connection.exec_driver_sql(f"{words} {statement}", parameters).all())
    assert "ix_ce_jobs_standing" in plan
    assert "COVERING INDEX" in plan or "Using index" in plan.replace("Using index condition", "")
