"""Rows to try things on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from act_core.db import arrivals
from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.session import Database
from act_core.jobspec import JobSpec

BEGINNING = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Rows:
    """Attempts of the application `manual`, by application job id."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = BEGINNING
        self.tower = db.read(tower_id)

    def add(self, *names: str, ces: tuple[str, ...] = ("ce1",), share: str = "", priority: int = 50) -> None:
        """New jobs that wait."""
        jobs = [
            arrivals.NewJob("manual", name, JobSpec(executable="x", priority=priority), frozenset(ces), 3, share)
            for name in names
        ]
        self.db.write(arrivals.add_jobs, self.tower, jobs, self.now)

    def put(self, *names: str, **columns: Any) -> None:
        """Write columns past all rules: this is how a test begins."""

        def write(session: Session) -> None:
            session.execute(update(CeJob).where(CeJob.app_job_id.in_(names)).values(**columns))

        self.db.write(write)

    def pick(self, *names: str) -> dict[str, Attempt]:
        """The newest attempt of each job, as a step picks it."""

        def read(session: Session) -> list[Attempt]:
            question = attempts().where(CeJob.app_job_id.in_(names)).order_by(CeJob.id)
            return [as_attempt(row) for row in session.execute(question)]

        return {attempt.app_job_id: attempt for attempt in self.db.read(read)}

    def all(self, name: str) -> list[CeJob]:
        """All attempts of a job, with all their columns."""
        return list(
            self.db.read(
                lambda session: session.scalars(
                    select(CeJob).where(CeJob.app_job_id == name).order_by(CeJob.attempt)
                ).all()
            )
        )

    def events(self) -> list[tuple[str, str, str, str]]:
        """(from, to, reason, actor) of all events, in order."""
        columns = (CeJobEvent.from_state, CeJobEvent.to_state, CeJobEvent.reason, CeJobEvent.actor)
        return [tuple(row) for row in self.db.read(lambda s: s.execute(select(*columns).order_by(CeJobEvent.id)).all())]


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


@pytest.fixture
def statements(db: Database) -> Iterator[Callable[[], list[tuple[str, Any]]]]:
    """Statements with their parameters, sent since the last call."""
    sent: list[tuple[str, Any]] = []

    def hear(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        sent.append((statement, parameters))

    def since() -> list[tuple[str, Any]]:
        heard, sent[:] = list(sent), []
        return heard

    event.listen(db.engine, "before_cursor_execute", hear)
    yield since
    event.remove(db.engine, "before_cursor_execute", hear)
