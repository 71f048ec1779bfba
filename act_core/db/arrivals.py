"""New jobs come in: descriptions, placements and first attempts, a constant number of statements a batch."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.attempts import new_key
from act_core.db.bulk import chunks, insert_rows, inserted_ids, portions
from act_core.db.models import CeJob, Description, Placement, PlacementCe
from act_core.errors import BadInput
from act_core.ids import TowerId
from act_core.jobspec import JobSpec
from act_core.states import CeState


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be run once, somewhere among its candidate CEs."""

    app: str
    app_job_id: str
    spec: JobSpec
    ces: frozenset[str]
    attempts_left: int
    share: str = ""
    submit_before: datetime | None = None  # cancelled instead of sent from then on
    vouched_until: datetime | None = None  # held from then on, until its application vouches for it again
    fence: timedelta | None = None  # what follows an attempt of it waits so long, at most, for its application
    sealed: bytes | None = None  # the texts of its sealed inputs, by name, as JSON, encrypted


def placement(session: Session, ces: Collection[str], now: datetime) -> int:
    """The id of this set of candidate CEs, made if it is new."""
    names = sorted(set(ces))
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    question = select(Placement.id).where(Placement.digest == digest)
    if (found := session.execute(question).scalar()) is not None:
        return found
    try:
        with session.begin_nested():
            made = Placement(digest=digest)
            session.add(made)
            session.flush()
            session.execute(insert(PlacementCe), [{"placement_id": made.id, "ce": name} for name in names])
    except IntegrityError:  # somebody else made it in this moment
        return session.execute(question).scalar_one()
    return made.id


def known(session: Session, app: str, jobs: Collection[str]) -> set[str]:
    """Those of an application's jobs that have an attempt already."""
    of_app = select(CeJob.app_job_id).where(CeJob.app == app)
    return {job for chunk in chunks(jobs) for job in session.scalars(of_app.where(CeJob.app_job_id.in_(chunk)))}


def add_jobs(session: Session, tower: TowerId, jobs: Sequence[NewJob], now: datetime) -> dict[str, str]:
    """Insert first attempts; returns app_job_id → submission key. A job that exists already raises IntegrityError.

    Raises BadInput for a description that is too large for any statement, or whose sealed inputs nobody gave.
    """
    if not jobs:
        return {}
    places = {ces: placement(session, ces, now) for ces in {job.ces for job in jobs}}
    ids = _describe(session, jobs, now)
    rows = [
        {
            "app": job.app,
            "app_job_id": job.app_job_id,
            "attempt": 1,
            "attempts_left": job.attempts_left,
            "submission_key": new_key(tower),
            "placement_id": places[job.ces],
            "state": CeState.TOSUBMIT.value,
            "state_since": now,
            "submit_before": job.submit_before,
            "vouched_until": job.vouched_until,
            "fence_s": None if job.fence is None else int(job.fence.total_seconds()),
            "priority": job.spec.priority,
            "share": job.share,
            "cores_asked": job.spec.cores,
            "proxy_copy": job.spec.proxy_copy,
            "walltime_s": None if job.spec.likely is None else int(job.spec.likely.total_seconds()),
            "description_id": description_id,
            "created": now,
            "modified": now,
        }
        for job, description_id in zip(jobs, ids, strict=True)
    ]
    insert_rows(session, CeJob, rows)
    return {str(row["app_job_id"]): str(row["submission_key"]) for row in rows}


def _describe(session: Session, jobs: Sequence[NewJob], now: datetime) -> list[int]:
    """The ids of the jobs' descriptions, in the jobs' order."""
    rows = ((job.app_job_id, _description(job, now)) for job in jobs)
    batches = portions(session, rows, lambda name: f"the description of job {name}")
    return [one for batch in batches for one in inserted_ids(session, Description, [row for _, row in batch])]


def _description(job: NewJob, now: datetime) -> dict[str, Any]:
    if bool(job.spec.sealed) != (job.sealed is not None):
        raise BadInput(f"job {job.app_job_id}: inputs are sealed by the application that adds the job, and by no file")
    return {"spec": job.spec.model_dump_json(exclude_defaults=True), "sealed": job.sealed, "created": now}
