"""What follows by itself when a job that was added by hand has moved."""

from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from act_core import homecoming, manual
from act_core.db import arrivals, claims
from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.decisions import Stay
from act_core.jobspec import JobSpec
from act_core.states import CeState

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def picked(session: Session) -> list[Attempt]:
    return [as_attempt(row) for row in session.execute(attempts())]


async def test_a_late_word_of_an_attempt_does_not_kill_the_next_one(db: Database) -> None:
    """It is resubmitted between the reading of its news and their writing."""
    job = arrivals.NewJob(manual.NAME, "a", JobSpec(executable="x"), frozenset({"ce1"}), 3)
    db.write(arrivals.add_jobs, db.read(tower_id), [job], NOW)
    ended = {"state": CeState.DONEFAILED.value, "remote_id": "r", "ce": "ce1", "news": True}
    db.write(lambda session: session.execute(update(CeJob).values(**ended)) and None)
    (old,) = db.read(picked)
    db.write(claims.settle, {old: Stay(reason="resubmitted", successor=True)}, NOW, "test")
    db.write(homecoming.bring_home, [old], NOW)
    requests = db.read(lambda session: session.scalars(select(CeJob.request).order_by(CeJob.attempt)).all())
    assert list(requests) == ["clean", None]
