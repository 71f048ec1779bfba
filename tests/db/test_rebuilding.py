"""What a rebuilt attempt has of an earlier one that an older copy of the database knows, and what else it lacks."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import rebuilding
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import Attempt, new_key
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob, Description, PlacementCe
from act_core.db.rebuilding import Rebuilt
from act_core.db.session import Database
from act_core.ids import RemoteId, SubmissionKey
from act_core.jobspec import InputFile, JobSpec

WHOLE = JobSpec(executable="/bin/echo", arguments=("a", "b"), inputs=(InputFile(name="in", content="x"),), cores=4)
BARE = JobSpec(executable="/bin/echo", cores=4)
SITES = frozenset({"ce1", "ce2"})


def found(db: Database, job: str, attempt: int) -> Rebuilt:
    key = new_key(db.read(tower_id))
    return Rebuilt("manual", job, attempt, key, RemoteId(f"r-{job}"), "", BARE, commit=True)


def entered(db: Database, new: list[Rebuilt], passed: Mapping[SubmissionKey, Attempt]) -> dict[str, CeJob]:
    db.write(rebuilding.enter, "ce1", new, passed, None, db.clock())

    def read(session: Session) -> dict[str, CeJob]:
        rows = session.scalars(select(CeJob).where(CeJob.submission_key.in_([one.key for one in new])))
        return {row.app_job_id: row for row in rows}

    return db.read(read)


def described(db: Database, row: CeJob) -> tuple[JobSpec, frozenset[str]]:
    """Its description, and where it and its successors may run."""

    def read(session: Session) -> tuple[JobSpec, frozenset[str]]:
        spec = session.execute(select(Description.spec).where(Description.id == row.description_id)).scalar_one()
        ces = session.scalars(select(PlacementCe.ce).where(PlacementCe.placement_id == row.placement_id))
        return JobSpec.model_validate_json(spec), frozenset(ces)

    return db.read(read)


@pytest.mark.parametrize(("attempt", "left"), [(2, 4), (4, 2), (6, 0), (9, 0)])
def test_where_an_earlier_attempt_is_known_it_can_have_a_successor(db: Database, attempt: int, left: int) -> None:
    """It may run as that one could; each attempt since may have cost one."""
    until, now = db.clock() + timedelta(days=2), db.clock()
    jobs = [NewJob("manual", "known", WHOLE, SITES, 5, submit_before=until, fence=timedelta(hours=1))]
    db.write(add_jobs, db.read(tower_id), jobs, now)
    (before,) = (one.row for one in db.read(rebuilding.known, {("manual", "known")})["manual", "known"])
    assert before is not None
    old, new = found(db, "known", attempt), found(db, "new", attempt)
    rows = entered(db, [new, old], {old.key: before})
    assert (rows["known"].attempts_left, rows["known"].attempt) == (left, attempt)
    assert described(db, rows["known"]) == (WHOLE, SITES)
    assert (rows["known"].submit_before, rows["known"].fence_s) == (until, 3600)
    assert rows["new"].attempts_left == 0, "its arguments and inputs are nowhere"
    assert described(db, rows["new"]) == (BARE, frozenset({"ce1"}))
