"""The table of jobs that a Harvester handed over: whose worker each is, and where its report goes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from act_core.atlas.books import HARVESTER, Booked
from act_core.atlas.translate import Worker
from act_core.db.bulk import chunks
from act_core.db.panda_models import HandedJob, PandaRow


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the table. `id`: of the job in `panda_jobs`, and what a Harvester knows it by."""

    id: int
    harvester_id: str
    worker_id: int
    access_point: str | None
    truepilot: bool


_COLUMNS = tuple(getattr(HandedJob, name) for name in Link.__slots__)


def links(session: Session, ids: Collection[int]) -> dict[int, Link]:
    found: dict[int, Link] = {}
    for chunk in chunks(sorted(ids)):
        rows = session.execute(select(*_COLUMNS).where(HandedJob.id.in_(chunk)))
        found |= {row.id: Link(*row) for row in rows}
    return found


def links_of(session: Session, workers: Collection[tuple[str, int]]) -> dict[tuple[str, int], Link]:
    """Those of these (harvester id, worker id)."""
    found: dict[tuple[str, int], Link] = {}
    key = tuple_(HandedJob.harvester_id, HandedJob.worker_id)
    for chunk in chunks(sorted(workers)):
        rows = session.execute(select(*_COLUMNS).where(key.in_(chunk)))
        found |= {(row.harvester_id, row.worker_id): Link(*row) for row in rows}
    return found


def workers(session: Session, rows: Iterable[Booked]) -> dict[int, Worker]:
    """Whose workers these jobs are, by row. No statement where no Harvester has a hand in it."""
    ids = [row.id for row in rows if row.reporter == HARVESTER]
    return {link.id: Worker(link.harvester_id, link.worker_id) for link in links(session, ids).values()}


def enter(session: Session, made: Sequence[Link], now: datetime) -> None:
    if made:
        rows = [{name: getattr(link, name) for name in Link.__slots__} | {"created": now} for link in made]
        session.execute(insert(HandedJob), rows, execution_options={"render_nulls": True})


def rows_of(session: Session, server: str, panda_ids: Collection[int]) -> Mapping[tuple[int, int], tuple[int, str]]:
    """(PandaID, attemptNr) → (row, reporter) of jobs that the tower has."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for chunk in chunks(sorted(panda_ids)):
        question = select(PandaRow.panda_id, PandaRow.attempt_nr, PandaRow.id, PandaRow.reporter)
        for row in session.execute(question.where(PandaRow.server == server, PandaRow.panda_id.in_(chunk))):
            found[row.panda_id, row.attempt_nr] = (row.id, row.reporter)
    return found
