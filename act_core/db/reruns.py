"""How the newest attempts of jobs stand, for an application that wants them run anew or cleaned."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob
from act_core.states import CeState, Request


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest attempt of a job. `clean`: its CE was asked to remove it, and did."""

    id: int
    state: CeState
    attempts_left: int
    request: Request | None
    submit_before: datetime | None
    released: bool
    clean: bool


def standing(session: Session, app: str, app_job_ids: Collection[str]) -> dict[str, Standing]:
    """By job; locked until the transaction ends."""
    found: dict[str, Standing] = {}
    for chunk in chunks(sorted(set(app_job_ids))):
        columns = (CeJob.id, CeJob.app_job_id, CeJob.state, CeJob.attempts_left, CeJob.request, CeJob.submit_before)
        question = select(*columns, CeJob.released_at, CeJob.ce_clean_at)
        newest = (CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None))
        for row in session.execute(question.where(*newest).order_by(CeJob.id).with_for_update()):
            request = None if row.request is None else Request(row.request)
            found[row.app_job_id] = Standing(
                *(row.id, CeState(row.state), row.attempts_left, request, row.submit_before),
                released=row.released_at is not None,
                clean=row.ce_clean_at is not None,
            )
    return found
