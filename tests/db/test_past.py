"""What a moment that is over looked like: told by events, by rows that stand still, and by the ledger."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from act_core.db import archive, claims, ledger, past, replays
from act_core.db.ledger import Line
from act_core.db.models import CeJobEvent
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.reasons import Reason, Topic
from act_core.settings.model import ArcSettings, Settings
from act_core.states import CeState
from benchmarks.the_past import fill
from tests.fixtures.databases import Servers
from tests.fixtures.plans import assert_reads_none_whole

S = CeState
MINUTE = timedelta(minutes=1)


class History:
    """Jobs that move, a minute after each other."""

    def __init__(self, rows: Any, db: Database) -> None:
        self.rows, self.db = rows, db

    def move(self, name: str, to: CeState, **columns: Any) -> None:
        self.rows.now += MINUTE
        job = self.rows.pick(name)[name]
        more = {"successor": columns.pop("successor", False)}
        self.db.write(claims.settle, {job: Move(to, f"to {to}", columns, **more)}, self.rows.now, "test")

    def at(self, minutes: int) -> dict[tuple[str, str], int]:
        """So long before now."""
        found = self.db.read(past.stood, self.rows.now - minutes * MINUTE)
        return {(one.ce, one.state.value): one.n for one in found}


@pytest.fixture
def history(rows: Any, db: Database) -> History:
    """One job goes to a CE, comes back, goes to another one and is lost there; a second attempt follows it."""
    made = History(rows, db)
    rows.add("a", "b")
    made.move("a", S.SUBMITTING, ce="ce1")
    made.move("a", S.TOSUBMIT, ce=None)
    made.move("a", S.SUBMITTING, ce="ce2")
    made.move("a", S.SUBMITTED, remote_id="r1")
    made.move("a", S.RUNNING)
    made.move("a", S.LOST, successor=True)
    return made


STORY = [
    {("", "tosubmit"): 2},
    {("ce2", "running"): 1, ("", "tosubmit"): 1},
    {("ce2", "submitted"): 1, ("", "tosubmit"): 1},
    {("ce2", "submitting"): 1, ("", "tosubmit"): 1},
    {("", "tosubmit"): 2},
    {("ce1", "submitting"): 1, ("", "tosubmit"): 1},
    {("", "tosubmit"): 2},
    {},
]


def test_each_moment_is_told_as_it_was(history: History) -> None:
    assert [history.at(minutes) for minutes in range(8)] == STORY


def test_a_row_at_rest_tells_the_same(history: History, db: Database) -> None:
    history.rows.put("a", request=None, released_at=history.rows.now, ce_clean_at=history.rows.now, news=False)
    later = history.rows.now + timedelta(hours=1)
    assert db.write(archive.archive_attempts, later) == 1
    assert [history.at(minutes) for minutes in range(8)] == STORY


def test_events_of_an_older_program_name_no_ce(history: History, db: Database) -> None:
    """The row does: for a job that was at several, the last one."""
    db.write(lambda session: session.execute(update(CeJobEvent).values(ce=None)) and None)
    assert history.at(2) == STORY[2]
    assert history.at(5) == {("ce2", "submitting"): 1, ("", "tosubmit"): 1}


def test_what_was_purged_is_told_by_what_came_next(history: History, db: Database) -> None:
    gone = history.rows.now - 2 * MINUTE
    db.write(lambda session: session.execute(delete(CeJobEvent).where(CeJobEvent.at <= gone)) and None)
    assert [history.at(minutes) for minutes in range(3)] == STORY[:3]
    assert db.read(past.first_event) == gone + MINUTE


def test_what_ended_is_counted_in_its_time(history: History, db: Database) -> None:
    now = history.rows.now
    assert db.read(past.ended, now - MINUTE, now) == [past.Stood("ce2", S.LOST, 1)]
    assert db.read(past.ended, now - 2 * MINUTE, now - MINUTE) == []


def test_the_ledger_tells_what_held(rows: Any, db: Database) -> None:
    def note(minute: int, reason: Reason | None, share: str = "") -> None:
        db.write(ledger.note, [Line(Topic.SUBMIT, reason, "ce1", share)], rows.now + minute * MINUTE)

    note(0, Reason.FULL)
    note(1, Reason.RATE, "prod")
    note(2, Reason.QUEUE_FULL)
    note(3, None)
    db.write(ledger.append, [Line(Topic.OUTPUTS, Reason.OUTPUT_KEPT, job_id=7)], rows.now)

    def held(minute: float, **narrow: Any) -> list[str]:
        return [one.code for one in db.read(past.held, rows.now + minute * MINUTE, **narrow)]

    assert [held(minute) for minute in (-1, 0, 1.5, 2, 3, 99)] == [
        [],
        ["full"],
        ["full", "rate"],
        ["rate", "queue-full"],
        ["rate"],
        ["rate"],
    ]
    assert held(1, ces=["ce2"]) == held(1, job_ids=[7]) == []
    assert held(1, ces=["ce1"]) == ["full", "rate"]
    line = db.read(past.next_line, "ce1", rows.now + MINUTE)
    assert line is not None
    assert line.code == "queue-full"


def test_a_line_that_a_purge_took_still_holds(rows: Any, db: Database) -> None:
    db.write(ledger.note, [Line(Topic.SUBMIT, Reason.FULL, "ce1")], rows.now)
    db.write(lambda session: session.execute(text("DELETE FROM ledger")) and None)
    assert [one.code for one in db.read(past.held, rows.now)] == ["full"]
    assert db.read(past.held, rows.now - MINUTE) == []


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def full(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Most is at rest, and most of that since long."""
    directory: Path = tmp_path_factory.mktemp("past")
    db = Database(Settings(state_dir=directory, arc=ArcSettings(db=servers.ready(request.param, directory))))
    fill(db, 300, 2000, 30, db.clock(), 500)
    yield db
    db.close()


BIG = {"ce_jobs_archive", "ce_job_events"}
QUESTIONS: dict[str, Callable[[Session, Any], Any]] = {
    "first_event": lambda s, _: past.first_event(s),
    "stood": lambda s, now: past.stood(s, now - timedelta(hours=2)),
    "stood (long ago)": lambda s, now: past.stood(s, now - timedelta(days=25)),
    "ended": lambda s, now: past.ended(s, now - timedelta(minutes=10), now),
    "held": lambda s, now: past.held(s, now - timedelta(hours=2)),
    "held (of a job)": lambda s, now: past.held(s, now, ces=["ce1"], job_ids=[1]),
    "next_line": lambda s, now: past.next_line(s, "ce1", now - timedelta(hours=2)),
    "noted": lambda s, now: past.noted(s, "ce1", now - timedelta(days=1), now),
    "candidates": lambda s, now: replays.candidates(s, "ce001", now - timedelta(days=2), now - timedelta(days=1)),
    "steps": lambda s, now: replays.steps(s, replays.candidates(s, "ce001", now - timedelta(days=1), now)[0]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_about_the_past_reads_a_big_table_whole(full: Database, name: str) -> None:
    """Who lives is asked of the hot table: nearly all of it is meant."""
    now = full.clock()
    assert_reads_none_whole(full, name, lambda session: QUESTIONS[name](session, now), BIG)


def test_who_could_go_to_a_ce_on_a_day(full: Database) -> None:
    """A hundred CEs have a hundredth each: of thirty days one, and what was there from the day before."""
    now = full.clock()
    jobs, all_of_them = full.read(replays.candidates, "ce001", now - timedelta(days=2), now - timedelta(days=1))
    steps = full.read(replays.steps, jobs)
    assert all_of_them
    assert {one.ce for one in jobs} == {"ce001"}
    assert {len(steps[one.id]) for one in jobs} == {6}
    assert [step.to_state for step in steps[jobs[0].id]][:3] == [S.SUBMITTING, S.SUBMITTED, S.RUNNING]
