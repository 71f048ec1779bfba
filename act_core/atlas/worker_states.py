"""How the jobs are that a Harvester handed over, in its words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from act_core.atlas import handed
from act_core.atlas.books import app_job_id, app_of
from act_core.atlas.handed import Link
from act_core.atlas.logplaces import log_url
from act_core.db.bulk import chunks
from act_core.db.models import CeJob, CeJobArchive
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.engine.results import result_dir
from act_core.settings.model import Settings
from act_core.states import PandaState

FINAL_WORDS = frozenset({"finished", "failed", "cancelled"})
WORDS: Mapping[PandaState, str] = {  # act.md 15
    PandaState.SENT: "submitted",
    PandaState.FORGOTTEN: "submitted",
    PandaState.STARTING: "submitted",
    PandaState.RUNNING: "running",
    PandaState.TRANSFERRING: "running",
    PandaState.TOVALIDATE: "running",
    PandaState.AWAITING: "running",
    PandaState.TOREPORT: "running",
    PandaState.TOKILL: "running",
}


@dataclass(frozen=True, slots=True)
class WorkerState:
    """`status`: submitted, running, finished, failed or cancelled. `batch_id`: the CE's own. Times in UTC."""

    id: int
    harvester_id: str
    worker_id: int
    panda_id: int
    status: str
    ce: str | None = None
    batch_id: str | None = None
    node: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerLogs:
    """What came home of a worker: the directory, the files in it, and where its stdout is published."""

    id: int
    directory: str
    files: tuple[str, ...]
    url: str | None


def word(state: str, told: str | None) -> str:
    """Harvester's word; a job is over when its report has been handed back."""
    if state != PandaState.CLOSED.value:
        return WORDS[PandaState(state)]
    return told if told in FINAL_WORDS else "failed"


_COLUMNS = (
    *("id", "panda_id", "attempt_nr", "queue", "label", "state", "told", "ce", "node"),
    *("started_at", "ended_at", "error", "created"),
)
_TRIED = ("app_job_id", "attempt", "remote_id", "exit_code", "created")


def _rows(session: Session, links: Mapping[int, Link]) -> dict[int, Row[Any]]:
    found: dict[int, Row[Any]] = {}
    for table in (PandaRow, PandaArchive):
        for chunk in chunks(sorted(links.keys() - found.keys())):
            columns = [getattr(table, name) for name in _COLUMNS]
            found |= {row.id: row for row in session.execute(select(*columns).where(table.id.in_(chunk)))}
    return found


def _attempts(session: Session, app: str, rows: Mapping[int, Row[Any]]) -> dict[str, Row[Any]]:
    """The newest attempt of each job."""
    names = {app_job_id(row.panda_id, row.attempt_nr) for row in rows.values()}
    found: dict[str, Row[Any]] = {}
    for table in (CeJob, CeJobArchive):
        columns = [getattr(table, name) for name in _TRIED]
        for chunk in chunks(sorted(names - found.keys())):
            mine = (table.app == app, table.app_job_id.in_(chunk), table.superseded_by.is_(None))
            found |= {row.app_job_id: row for row in session.execute(select(*columns).where(*mine))}
    return found


def states(session: Session, app: str, ids: Collection[int]) -> dict[int, WorkerState]:
    """At most five statements for some hundreds."""
    links = handed.links(session, ids)
    rows = _rows(session, links)
    tried = _attempts(session, app, rows)
    return {
        one: _state(links[one], row, tried.get(app_job_id(row.panda_id, row.attempt_nr))) for one, row in rows.items()
    }


def _state(link: Link, row: Row[Any], attempt: Row[Any] | None) -> WorkerState:
    return WorkerState(
        *(link.id, link.harvester_id, link.worker_id, row.panda_id, word(row.state, row.told)),
        ce=row.ce,
        batch_id=attempt.remote_id if attempt else None,
        node=row.node,
        started=row.started_at,
        ended=row.ended_at,
        exit_code=attempt.exit_code if attempt else None,
        error=row.error,
    )


def logs(session: Session, settings: Settings, ids: Collection[int]) -> dict[int, WorkerLogs]:
    """Of jobs that an attempt stands for; before their outputs have come home there are no files."""
    app = app_of(settings)
    rows = _rows(session, handed.links(session, ids))
    tried = _attempts(session, app, rows)
    found: dict[int, WorkerLogs] = {}
    for one, row in rows.items():
        attempt = tried.get(app_job_id(row.panda_id, row.attempt_nr))
        if attempt is None:
            continue
        directory = result_dir(settings, app, attempt.app_job_id, attempt.attempt, attempt.created)
        url = log_url(settings.app.joblog, row.created, row.queue, row.panda_id, row.label)
        found[one] = WorkerLogs(one, str(directory), _files(directory), url)
    return found


def _files(directory: Path) -> tuple[str, ...]:
    if not directory.is_dir():
        return ()
    return tuple(sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file()))
