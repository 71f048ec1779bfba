"""Attempts by what people call them: an application's id, a submission key, an id on the CE. Each through an index."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import Ce, CeJob, CeJobArchive, JobCount

MOST_APPS = 100
NEWEST = 50_000  # rows that are looked through for what no index knows


def apps(session: Session, table: Any) -> list[str]:
    """The applications that have rows there: a look into the index each, however many rows they have."""
    found: list[str] = []
    last = ""
    while len(found) < MOST_APPS:
        after = session.execute(select(func.min(table.app)).where(table.app > last)).scalar()
        if after is None:
            break
        found.append(last := after)
    return found


def places(session: Session) -> list[str]:
    """The CEs at which there are jobs, or were when they were last counted."""
    return sorted({*session.scalars(select(Ce.name)), *session.scalars(select(JobCount.ce).distinct())} - {""})


def numbers(session: Session, table: Any, names: Collection[str], app: str | None = None) -> set[int]:
    """The ids of the attempts that are meant, in the hot table or in the archive."""
    found: set[int] = set()
    ces = places(session) if table is CeJob else []
    owners = apps(session, table) if app is None else [app]
    for some in chunks(sorted(set(names))):
        found |= set(session.scalars(select(table.id).where(table.submission_key.in_(some))))
        mine = select(table.id).where(table.app.in_(owners), table.app_job_id.in_(some))
        found |= set(session.scalars(mine))
        there = select(table.id).where(table.remote_id.in_(some))
        found |= set(session.scalars(there.where(table.ce.in_(ces)) if table is CeJob else there))
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """An attempt that goes by a name; `by`: which of its names that is."""

    id: int
    app: str
    app_job_id: str
    attempt: int
    ce: str | None
    state: str
    state_since: datetime
    archived: bool
    by: str


def named(session: Session, name: str, limit: int) -> list[Named]:
    """Attempts with exactly this name, the newest first; those at rest come last."""
    found: list[Named] = []
    for table in (CeJob, CeJobArchive):
        ids = numbers(session, table, [name])
        found += _told(session, table, sorted(ids)[-limit:], name)
    return found[:limit]


def begun(session: Session, key: str, limit: int) -> list[Named]:
    """Attempts whose submission key begins so."""
    found: list[Named] = []
    for table in (CeJob, CeJobArchive):
        within = (table.submission_key >= key, table.submission_key < f"{key}~")
        ids = session.scalars(select(table.id).where(*within).order_by(table.submission_key).limit(limit))
        found += _told(session, table, list(ids), key)
    return found[:limit]


def in_batch(session: Session, batch_id: str, limit: int) -> list[Named]:
    """Attempts that a CE's batch system calls so; no index knows: the newest of the hot table are asked."""
    newest = select(CeJob.id.label("id"), CeJob.batch_id).order_by(CeJob.id.desc()).limit(NEWEST).subquery()
    ids = session.scalars(select(newest.c.id).where(newest.c.batch_id == batch_id).limit(limit))
    return _told(session, CeJob, list(ids), batch_id)


def _told(session: Session, table: Any, ids: Collection[int], name: str) -> list[Named]:
    columns = (
        table.id, table.app, table.app_job_id, table.attempt, table.ce, table.state, table.state_since,
        table.submission_key, table.remote_id,
    )  # fmt: skip
    rows = session.execute(select(*columns).where(table.id.in_(list(ids))).order_by(table.id.desc()))
    old = table is CeJobArchive
    return [
        Named(row.id, row.app, row.app_job_id, row.attempt, row.ce, row.state, row.state_since, old, _by(row, name))
        for row in rows
    ]


def _by(row: Any, name: str) -> str:
    if row.app_job_id == name:
        return "job id"
    if row.submission_key.startswith(name):
        return "submission key"
    return "id on the CE" if row.remote_id == name else "batch id"
