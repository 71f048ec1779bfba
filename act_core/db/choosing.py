"""Which jobs a bulk action is about: found through the indexes, a few columns of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.listing import Filter, conditions
from act_core.db.models import Ce, CeJob


@dataclass(frozen=True, slots=True)
class Chosen:
    """An attempt that a filter finds."""

    id: int
    app: str
    app_job_id: str
    ce: str
    state: str


_COLUMNS = (CeJob.id, CeJob.app, CeJob.app_job_id, CeJob.ce, CeJob.state)


def chosen(session: Session, wanted: Filter, limit: int) -> list[Chosen]:
    """The newest attempts that match, the oldest first, at most `limit`."""
    wanted = replace(wanted, newest=True)
    if not wanted.ids:
        matching = select(*_COLUMNS).where(*conditions(wanted, CeJob))
        # a sum, and not the key: else SQLite reads the whole table in its order to spare the sorting
        rows: Sequence[Row[Any]] = session.execute(matching.order_by(CeJob.id + 0).limit(limit)).all()
    else:
        rows = sorted(_named(session, wanted), key=_id)[:limit]
    return [Chosen(row.id, row.app, row.app_job_id, row.ce or "", row.state) for row in rows]


def _id(row: Row[Any]) -> int:
    number: int = row.id
    return number


def _named(session: Session, wanted: Filter) -> Sequence[Row[Any]]:
    """Those among these ids: application's ids and keys have an index; what is neither may be an id on a CE."""
    rest, beside = sorted(set(wanted.ids)), conditions(wanted, CeJob)
    apps = (wanted.app,) if wanted.app else wanted.apps or tuple(session.scalars(select(CeJob.app).distinct()))
    found: dict[int, Row[Any]] = {}
    for of in (_by_name(apps), lambda some: CeJob.submission_key.in_(some), _by_remote(session)):
        seen: set[str] = set()
        for some in chunks(rest):
            ids = select(*_COLUMNS, CeJob.submission_key, CeJob.remote_id).where(of(some), *beside)
            for row in session.execute(ids):
                found[row.id] = row
                seen |= {row.app_job_id, row.submission_key, row.remote_id}
        rest = [one for one in rest if one not in seen]
    return list(found.values())


def _by_name(apps: Sequence[str]) -> Any:
    def named(some: Sequence[str]) -> ColumnElement[bool]:
        return CeJob.app.in_(apps) & CeJob.app_job_id.in_(some)

    return named


def _by_remote(session: Session) -> Any:
    ces = list(session.scalars(select(Ce.name)))

    def named(some: Sequence[str]) -> ColumnElement[bool]:
        return CeJob.ce.in_(ces) & CeJob.remote_id.in_(some)

    return named
