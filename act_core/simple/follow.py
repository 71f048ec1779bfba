"""What follows when an attempt has moved: a job's state, a next attempt, results that come home."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import claims, wishes
from act_core.db.attempts import Attempt
from act_core.db.bulk import Values, chunks, update_rows
from act_core.engine.results import result_dir
from act_core.homecoming import bring_home
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.simple.tables import Job, JobState
from act_core.states import CeState, Request

SHOWN = {  # what a job is while an attempt of it is so; one that is over is told apart below
    CeState.TOSUBMIT: JobState.WAITING,
    CeState.SUBMITTING: JobState.WAITING,
    CeState.SUBMITTED: JobState.WAITING,
    CeState.HOLDING: JobState.WAITING,
    CeState.RUNNING: JobState.RUNNING,
    CeState.FINISHING: JobState.RUNNING,
    CeState.FINISHED: JobState.RUNNING,
    CeState.FAILED: JobState.RUNNING,
    CeState.CANCELLING: JobState.RUNNING,
    CeState.DONE: JobState.DONE,
    CeState.DONEFAILED: JobState.FAILED,
    CeState.CANCELLED: JobState.CANCELLED,
    CeState.LOST: JobState.FAILED,
    CeState.ABANDONED: JobState.FAILED,
    CeState.VOID: JobState.WAITING,
}


@dataclass(frozen=True, slots=True)
class Next:
    """What an attempt means for its job."""

    state: JobState
    again: bool = False  # a next attempt is wanted
    home: bool = False  # its results are here and can be collected


def after(attempt: Attempt) -> Next:
    """The rule: a failed job is tried again as often as its campaign allows; what is left of the last try is kept."""
    if attempt.state is CeState.DONEFAILED and attempt.attempts_left > 0 and attempt.request is None:
        return Next(JobState.WAITING, again=True)
    return Next(SHOWN[attempt.state], home=attempt.state in (CeState.DONE, CeState.DONEFAILED))


async def on_news(rt: Runtime, rows: Sequence[Attempt]) -> Counts:
    return await rt.write(_hear, rows, rt.settings, rt.now())


def _hear(session: Session, rows: Sequence[Attempt], settings: Settings, now: datetime) -> Counts:
    newest = {attempt: after(attempt) for attempt in rows if attempt.superseded_by is None}
    told: dict[int, Values] = {}
    for chunk in chunks(newest.items()):
        by_name = {attempt.app_job_id: (attempt, what) for attempt, what in chunk}
        for job in session.scalars(select(Job).where(Job.app_job_id.in_(by_name))):
            attempt, what = by_name[job.app_job_id]
            if not _known(job, attempt, what):
                told[job.id] = _columns(settings, attempt, what) | {"modified": now}
    update_rows(session, Job, told, versioned=False)
    again = [attempt for attempt, what in newest.items() if what.again]
    wishes.wish_of(session, [attempt.id for attempt in again], Request.RESUBMIT, now)
    claims.hear(session, again)
    counts = bring_home(session, [attempt for attempt in rows if attempt not in again], now)
    return counts + (Counts(resubmitted=len(again)) if again else Counts())


def _known(job: Job, attempt: Attempt, what: Next) -> bool:
    """Whether the news is only that the CE was cleaned."""
    return attempt.ce_clean_at is not None and (job.state, job.attempts) == (what.state, attempt.attempt)


def _columns(settings: Settings, attempt: Attempt, what: Next) -> dict[str, Any]:
    here = result_dir(settings, attempt.app, attempt.app_job_id, attempt.attempt, attempt.created)
    return {
        "state": what.state.value,
        "attempts": attempt.attempt,
        "error": attempt.error,
        "source": str(here) if what.home else None,
        "collect": what.home,
    }
