"""How jobs ended lately: counts by CE, share, outcome and wall time, over the hot table and the archive."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from act_core.db.models import Ce, CeJob, CeJobArchive
from act_core.states import CeState

# Upper ends of the classes of wall time, in seconds: a median is known to a quarter of itself, and SQL counts alone.
BOUNDS = tuple(sorted({round(1.25**k) for k in range(64)}))
_GOOD = (CeState.FINISHED.value, CeState.DONE.value)
_BAD = (CeState.FAILED.value, CeState.DONEFAILED.value)


@dataclass(frozen=True, slots=True)
class Ending:
    """`n` jobs of a share that ended at a CE alike: well or not, after a wall time of this class."""

    ce: str
    share: str
    failed: bool
    wall_class: int
    n: int


def class_range(wall_class: int) -> tuple[int, int]:
    """The shortest and the longest wall time of a class, in seconds."""
    lowest = BOUNDS[wall_class - 1] if wall_class else 0
    return lowest, BOUNDS[min(wall_class, len(BOUNDS) - 1)] - 1


def endings(session: Session, since: datetime) -> list[Ending]:
    """Jobs that ended since then, and since their CE's mode changed; those that never ran say nothing of its nodes."""
    hot = _counted(session, CeJob, CeJob.ended_at >= since)
    return hot + _counted(session, CeJobArchive, CeJobArchive.modified >= since, CeJobArchive.ended_at >= since)


def _counted(session: Session, job: Any, *lately: ColumnElement[bool]) -> list[Ending]:
    # a CE's own clock says when a job ended: it may be a little ahead or behind
    failed = case((or_(job.state.in_(_BAD), func.coalesce(job.exit_code, 0) != 0), 1), else_=0).label("failed")
    wall = case(*((job.wall_s < bound, k) for k, bound in enumerate(BOUNDS)), else_=len(BOUNDS)).label("wall")
    question = (
        select(job.ce, job.share, failed, wall, func.count())
        .join(Ce, Ce.name == job.ce)
        .where(*lately, job.state.in_(_GOOD + _BAD), job.wall_s.is_not(None))
        .where(or_(Ce.mode_since.is_(None), job.ended_at >= Ce.mode_since))
        .group_by(job.ce, job.share, failed, wall)
    )
    return [Ending(ce, share, bool(bad), k, n) for ce, share, bad, k, n in session.execute(question)]


@dataclass(frozen=True, slots=True)
class Stood:
    """How an attempt stands, and since when."""

    ce: str | None
    state: CeState
    since: datetime
    exit_code: int | None


def outcomes(session: Session, ids: Collection[int]) -> dict[int, Stood]:
    """These attempts, wherever they are."""
    found: dict[int, Stood] = {}
    for table in (CeJobArchive, CeJob):
        columns = (table.id, table.ce, table.state, table.state_since, table.exit_code)
        for row in session.execute(select(*columns).where(table.id.in_(ids))):
            found[row.id] = Stood(row.ce, CeState(row.state), row.state_since, row.exit_code)
    return found
