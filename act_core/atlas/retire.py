"""Closed PanDA jobs leave the hot table, and after their time the archive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session

from act_core.apps import Purge
from act_core.atlas import books, joblog
from act_core.atlas.books import Booked
from act_core.atlas.instance import server_of
from act_core.db.panda_models import HandedJob, PandaArchive, PandaRow
from act_core.runtime import Counts, Runtime
from act_core.states import PandaState

CHUNK = 500


async def retire(rt: Runtime) -> Counts:
    """Move a chunk of rows that were closed long enough ago, and write the last page of their stories."""
    moved = await rt.write(_move, rt.now() - rt.settings.arc.jobs.archiveafter)
    counts = Counts({"retired": len(moved)} if moved else {})
    for one in (rt, *(rt.seen_by(name) for name in rt.settings.app.instances)):
        await joblog.tell(one, [row for row in moved if row.server == server_of(one)])
        counts += await joblog.purge(one)
    return counts


def _move(session: Session, before: datetime) -> list[Booked]:
    closed = (PandaRow.state == PandaState.CLOSED.value, PandaRow.modified < before)
    rows = session.scalars(
        select(PandaRow).where(*closed).order_by(PandaRow.modified).limit(CHUNK).with_for_update()
    ).all()
    if not rows:
        return []
    names = [column.name for column in PandaArchive.__table__.columns]
    session.execute(insert(PandaArchive), [{name: getattr(row, name) for name in names} for row in rows])
    ids = [row.id for row in rows]
    moved = books.picked(session, PandaRow.id.in_(ids), limit=CHUNK, texts=("report",))
    for row in rows:
        session.expunge(row)
    session.execute(delete(PandaRow).where(PandaRow.id.in_(ids)).execution_options(synchronize_session=False))
    return moved


def forget(session: Session, before: datetime) -> int:
    """Remove jobs at rest that nobody has written since then."""
    old = select(PandaArchive.id).where(PandaArchive.modified < before).order_by(PandaArchive.modified).limit(CHUNK)
    return _gone(session, PandaArchive, session.scalars(old).all())


def forget_handed(session: Session, before: datetime) -> int:
    """Remove who handed jobs over before then, but for those that are at work: their Harvester still asks for them."""
    at_work = exists().where(PandaRow.id == HandedJob.id)
    old = select(HandedJob.id).where(HandedJob.created < before, ~at_work).order_by(HandedJob.created).limit(CHUNK)
    return _gone(session, HandedJob, session.scalars(old).all())


def _gone(session: Session, table: Any, ids: Sequence[int]) -> int:
    if ids:
        session.execute(delete(table).where(table.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


PURGES = (Purge("archive", "PanDA jobs", forget), Purge("events", "handed jobs", forget_handed))
