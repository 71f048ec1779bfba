"""How the jobs of each share stand: out of the counts, or counted now where these are old."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from act_core.db.counting import counted_at
from act_core.db.models import CeJob, JobCount
from act_core.states import FINAL, CeState

FRESH = timedelta(minutes=1)
_QUEUED = (CeState.SUBMITTING, CeState.SUBMITTED, CeState.HOLDING)


@dataclass(slots=True)
class Stand:
    """Jobs of a share. `ending`: at a CE and past their run; `cores`: of the running ones."""

    waiting: int = 0
    queued: int = 0
    running: int = 0
    ending: int = 0
    cores: int = 0
    oldest: datetime | None = None  # of those that wait


def by_share(session: Session, now: datetime) -> tuple[Mapping[str, Stand], datetime]:
    """The newest attempts that are not over, by share, and of when that is true."""
    counted = counted_at(session)
    fresh = counted is not None and now - counted <= FRESH
    found: dict[str, Stand] = {}
    open_ones = [state.value for state in CeState if state not in FINAL]
    for share, state, n, cores, oldest in session.execute(_counts(open_ones) if fresh else _count(open_ones)):
        _add(found.setdefault(share, Stand()), CeState(state), int(n), int(cores or 0), oldest)
    return found, counted if fresh and counted else now


def _counts(states: list[str]) -> Select[Any]:
    total = (func.sum(JobCount.n), func.sum(JobCount.cores), func.min(JobCount.oldest))
    question = select(JobCount.share, JobCount.state, *total).where(JobCount.state.in_(states))
    return question.group_by(JobCount.share, JobCount.state)


def _count(states: list[str]) -> Select[Any]:
    cores = func.sum(func.coalesce(CeJob.cores, CeJob.cores_asked))
    question = select(CeJob.share, CeJob.state, func.count(), cores, func.min(CeJob.state_since))
    return question.where(CeJob.state.in_(states), CeJob.superseded_by.is_(None)).group_by(CeJob.share, CeJob.state)


def _add(stand: Stand, state: CeState, n: int, cores: int, oldest: datetime) -> None:
    if state is CeState.TOSUBMIT:
        stand.waiting += n
        stand.oldest = oldest
    elif state in _QUEUED:
        stand.queued += n
    elif state is CeState.RUNNING:
        stand.running += n
        stand.cores += cores
    else:
        stand.ending += n
