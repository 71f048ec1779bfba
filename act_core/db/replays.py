"""Questions for the replay of a day of a CE: who could go there, and what became of each. Through indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent, PlacementCe
from act_core.states import FINAL, CeState

MOST = 200_000  # attempts of one replay
_STATES = tuple(state.value for state in CeState)
_FINAL = tuple(state.value for state in FINAL)


@dataclass(frozen=True, slots=True)
class Ran:
    """An attempt, as a replay needs it; `ce`: that has it, or had it."""

    id: int
    ce: str | None
    share: str
    priority: int
    cores: int
    walltime_s: int | None
    submit_before: datetime | None
    created: datetime
    wall_s: int | None


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    to_state: CeState


def candidates(session: Session, ce: str, begin: datetime, end: datetime) -> tuple[list[Ran], bool]:
    """Attempts that could go to this CE and were not over before; False: only its own, since all are too many."""
    places = list(session.scalars(select(PlacementCe.placement_id).where(PlacementCe.ce == ce)))
    found = _found(session, places, begin, end)
    if len(found) <= MOST:
        return found, True
    return _found(session, places, begin, end, ce), False


def _found(session: Session, places: Sequence[int], begin: datetime, end: datetime, ce: str | None = None) -> list[Ran]:
    hot, old = CeJob, CeJobArchive
    live = or_(hot.state.notin_(_FINAL), hot.state_since > begin)
    questions = (
        _ask(hot, ce).where(hot.state.in_(_STATES), hot.placement_id.in_(places), hot.created < end, live),
        _ask(old, ce).where(
            old.placement_id.in_(places), old.modified > begin, old.created < end, old.state_since > begin
        ),
    )
    rows = [row for question in questions for row in session.execute(question.limit(MOST + 1))]
    return sorted((Ran(*row) for row in rows), key=lambda one: one.id)


def _ask(table: Any, ce: str | None) -> Select[Any]:
    own: list[ColumnElement[bool]] = [] if ce is None else [or_(table.ce == ce, table.ce.is_(None))]
    return select(
        *(table.id, table.ce, table.share, table.priority, table.cores_asked, table.walltime_s),
        *(table.submit_before, table.created, table.wall_s),
    ).where(*own)


def steps(session: Session, jobs: Sequence[Ran]) -> dict[int, list[Step]]:
    """What happened to each, in its order; only what moved it."""
    found: dict[int, list[Step]] = {one.id: [] for one in jobs}
    columns = (CeJobEvent.job_id, CeJobEvent.at, CeJobEvent.to_state)
    for ids in chunks(found):
        question = select(*columns).where(CeJobEvent.job_id.in_(ids), CeJobEvent.from_state != CeJobEvent.to_state)
        for job, at, state in session.execute(question.order_by(CeJobEvent.id)):
            found[job].append(Step(at, CeState(state)))
    return found
