"""Questions about how full a CE is. Each goes through an index; a test reads the plans."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.bulk import chunks
from act_core.db.models import Ce, CeJob
from act_core.states import ON_CE, CeState

_ON_CE = tuple(state.value for state in ON_CE)
_TOSUBMIT = CeState.TOSUBMIT.value
QUEUED = frozenset({CeState.SUBMITTING, CeState.SUBMITTED, CeState.HOLDING})
_QUEUED = tuple(state.value for state in QUEUED)


@dataclass(frozen=True, slots=True)
class Stands:
    """How many jobs of a share stand in a state at a CE, with the cores that they asked for."""

    share: str
    state: CeState
    jobs: int
    cores: int
    priority: int  # the highest of them


def locked(session: Session, ce: str) -> Ce | None:
    """The CE's row, for as long as the transaction lasts ours alone: who counts and claims does it here, in turn."""
    question = select(Ce).where(Ce.name == ce).with_for_update().execution_options(populate_existing=True)
    return session.scalars(question).one_or_none()


def standing(session: Session, ce: str) -> list[Stands]:
    """What counts against the CE's limits, out of the index alone."""
    question = (
        select(CeJob.share, CeJob.state, func.count(), func.sum(CeJob.cores_asked), func.max(CeJob.priority))
        .where(CeJob.ce == ce, CeJob.state.in_(_ON_CE))
        .group_by(CeJob.share, CeJob.state)
    )
    found = session.execute(question)
    return [Stands(share, CeState(state), n, int(cores), top) for share, state, n, cores, top in found]


def queued_since(session: Session, ce: str) -> datetime | None:
    """Since when the oldest of the jobs that are queued there has been. None: none is."""
    question = select(func.min(CeJob.state_since)).where(CeJob.ce == ce, CeJob.state.in_(_QUEUED))
    return session.execute(question).scalar_one()


def late(session: Session, now: datetime, limit: int) -> list[Attempt]:
    """Jobs that wait past their best-before, wherever they could have gone."""
    waits = (CeJob.state == _TOSUBMIT, CeJob.request.is_(None), CeJob.submit_before <= now)
    return [as_attempt(row) for row in session.execute(attempts().where(*waits).limit(limit))]


def picked(session: Session, ids: Collection[int]) -> dict[int, Attempt]:
    """These attempts, in full."""
    found: dict[int, Attempt] = {}
    for chunk in chunks(ids):
        found |= {row.id: as_attempt(row) for row in session.execute(attempts().where(CeJob.id.in_(chunk)))}
    return found


def is_empty(session: Session, ce: str) -> bool:
    """Whether nothing of ours stands there any more: no job alive, in the air or to be fetched."""
    question = select(CeJob.id).where(CeJob.ce == ce, CeJob.state.in_(_ON_CE)).limit(1)
    return session.execute(question).first() is None


def share_is_empty(session: Session, share: str) -> bool:
    """The same of a share, at whatever CE."""
    question = select(CeJob.id).where(CeJob.share == share, CeJob.state.in_(_ON_CE)).limit(1)
    return session.execute(question).first() is None
