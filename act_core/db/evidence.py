"""What a CE's list is asked about while a brake holds: the missing jobs, and older ones that it should name."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.brakes import CE, MARKED, Kind, place
from act_core.db.models import CeJob
from act_core.db.policy_models import BrakeRow, Orphan
from act_core.ids import RemoteId, SubmissionKey
from act_core.states import LIVING, CeState

SAMPLE = 50
EXAMPLES = 5
_LIVING = tuple(state.value for state in LIVING - {CeState.CANCELLING})


@dataclass(frozen=True, slots=True)
class Missing:
    """Ids and keys that good answers do not know; ids of living jobs that were sent before."""

    jobs: frozenset[RemoteId] = frozenset()
    keys: frozenset[SubmissionKey] = frozenset()
    older: frozenset[RemoteId] = frozenset()


def missing(session: Session, ce: str, kind: Kind) -> Missing:
    """Two statements. A job was certainly sent before its send deadline."""
    rows = session.execute(
        select(CeJob.remote_id, CeJob.submission_key, CeJob.absent_since).where(
            CeJob.ce == ce, CeJob.state.in_(MARKED[kind]), CeJob.absent_since.is_not(None)
        )
    ).all()
    if not rows:
        return Missing()
    first = min(row.absent_since for row in rows)
    older = session.scalars(
        select(CeJob.remote_id)
        .where(CeJob.ce == ce, CeJob.state.in_(_LIVING), CeJob.remote_id.is_not(None), CeJob.absent_since.is_(None))
        .where(CeJob.send_deadline < first - timedelta(seconds=1))
        .order_by(CeJob.id.desc())
        .limit(SAMPLE)
    )
    return Missing(
        frozenset(RemoteId(row.remote_id) for row in rows if row.remote_id),
        frozenset(SubmissionKey(row.submission_key) for row in rows),
        frozenset(RemoteId(one) for one in older if one),
    )


@dataclass(frozen=True, slots=True)
class Moving:
    """What a release would let through."""

    n: int
    examples: tuple[str, ...] = ()  # the applications' ids, or ids on the CE


def would_move(session: Session, row: BrakeRow) -> Moving:
    """For people who think of releasing a brake. Where nothing is marked, all living jobs may be meant."""
    ce, share = place(row.scope)
    kind = Kind(row.kind)
    if kind is Kind.ORPHANS:
        found = session.scalars(select(Orphan.remote_id).where(Orphan.ce == ce, Orphan.killed_at.is_(None))).all()
        return Moving(max(len(found), row.n), tuple(found[:EXAMPLES]))
    if kind not in MARKED:
        return Moving(max(row.n, row.living))
    where = [CeJob.ce == (ce or row.source.removeprefix(CE)), CeJob.state.in_(MARKED[kind])]
    if share:
        where.append(CeJob.share == share)
    names = session.scalars(
        select(CeJob.app_job_id).where(*where, CeJob.absent_since.is_not(None)).order_by(CeJob.id)
    ).all()
    return Moving(max(len(names), row.n), tuple(names[:EXAMPLES]))
