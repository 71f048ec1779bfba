"""Rows at rest leave the hot table, and are counted by day in the same transaction (architecture rule 11)."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from act_core.db.bulk import insert_rows
from act_core.db.models import CeJob, CeJobArchive, DailyCount
from act_core.states import FINAL

CHUNK = 1000
_FINAL = tuple(state.value for state in FINAL)


def archive_attempts(session: Session, before: datetime) -> int:
    """Move at most a chunk of rows: final, unwished, gone from the CE, released, untouched since `before`."""
    at_rest = (
        CeJob.state.in_(_FINAL),
        CeJob.request.is_(None),
        or_(CeJob.remote_id.is_(None), CeJob.ce_clean_at.is_not(None)),
        CeJob.news.is_(False),
    )
    released = (CeJob.released_at.is_not(None), CeJob.modified < before)
    rows = session.scalars(
        select(CeJob).where(*released, *at_rest).order_by(CeJob.released_at, CeJob.id).limit(CHUNK).with_for_update()
    ).all()
    if not rows:
        return 0
    names = [column.name for column in CeJobArchive.__table__.columns]
    ids = [row.id for row in rows]
    insert_rows(session, CeJobArchive, [{name: getattr(row, name) for name in names} for row in rows])
    _count_days(session, rows)
    for row in rows:
        session.expunge(row)
    session.execute(delete(CeJob).where(CeJob.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def _count_days(session: Session, rows: Sequence[CeJob]) -> None:
    """Add the rows to the counts of the days on which they ended."""
    n: Counter[tuple[str, ...]] = Counter()
    wall: Counter[tuple[str, ...]] = Counter()
    cpu: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        ended = row.ended_at or row.state_since
        key: tuple[str, ...] = (f"{ended:%Y-%m-%d}", row.app, row.ce or "", row.share, row.state)
        n[key] += 1
        wall[key] += row.wall_s or 0
        cpu[key] += row.cpu_s or 0
    columns = ("day", "app", "ce", "share", "state")
    for key in sorted(n):  # one order for all: fewer deadlocks
        where = [getattr(DailyCount, name) == value for name, value in zip(columns, key, strict=True)]
        known = session.scalars(select(DailyCount).where(*where).with_for_update()).one_or_none()
        if known is None:
            known = DailyCount(**dict(zip(columns, key, strict=True)), n=0, wall_s=0, cpu_s=0)
            session.add(known)
        known.n += n[key]
        known.wall_s += wall[key]
        known.cpu_s += cpu[key]
    session.flush()
