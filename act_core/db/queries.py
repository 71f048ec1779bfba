"""Named questions to the engine's tables. Each goes through an index; a test reads the plans on both databases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, bindparam, exists, or_, select, true
from sqlalchemy.orm import Session

from act_core.db import fences
from act_core.db.attempts import Attempt, as_attempt, attempts, found
from act_core.db.bulk import chunks
from act_core.db.due import (
    BY_REQUEST,
    BY_STATE,
    DUE,
    LIVING_WORDS,
    NOW,
    OUTPUTS_WANTED,
    OVER_WORDS,
    UNPLACED,
    WAIT_FOR_INPUTS,
    has,
    through,
)
from act_core.db.models import Ce, CeJob, CeJobArchive, Description
from act_core.db.modes import CARED_FOR
from act_core.db.types import BigId
from act_core.ids import RemoteId, SubmissionKey
from act_core.jobspec import JobSpec
from act_core.states import FINAL, CeState, Request

_FINAL = tuple(state.value for state in FINAL)
_CE: Any = bindparam("ce", type_=String())
_APP: Any = bindparam("app", type_=String())
_IDS: Any = bindparam("ids", type_=BigId, expanding=True)
_NAMES: Any = bindparam("names", type_=String(), expanding=True)
_WORDS: Any = bindparam("words", type_=String(), expanding=True)
_STATES: Any = bindparam("states", type_=String(), expanding=True)
_LIMIT: Any = bindparam("limit", type_=Integer())
# A transfer that ends wakes its CE's steps whatever has become of the CE's mode: then they find nothing to ask.
_CARED_FOR = ~exists().where(Ce.name == _CE, Ce.mode.notin_(CARED_FOR))


def _listed(*where: ColumnElement[bool]) -> Select[Any]:
    return attempts().where(*where).order_by(CeJob.id).limit(_LIMIT)


def _at_ce(index: str, *where: ColumnElement[bool]) -> Select[Any]:
    return through(index, _listed(CeJob.ce == _CE, _CARED_FOR, *where))


_SPECS = select(Description.id, Description.spec).where(Description.id.in_(_IDS))
_AWAITING_INPUTS = _at_ce(
    BY_STATE,
    CeJob.state.in_(WAIT_FOR_INPUTS),
    CeJob.due_at <= NOW,
    CeJob.inputs_sent_at.is_(None),
    fences.vouched(CeJob, NOW),
    or_(CeJob.request.is_(None), CeJob.request == Request.FETCH.value),
)
_IN_DOUBT = _at_ce(BY_STATE, CeJob.state == CeState.SUBMITTING.value, CeJob.due_at <= NOW)
_AT_CE = attempts().where(CeJob.ce == _CE, CeJob.state.in_(LIVING_WORDS), CeJob.remote_id.is_not(None))
_AMONG = attempts().where(CeJob.ce == _CE, CeJob.remote_id.in_(_NAMES), CeJob.state.in_(LIVING_WORDS))
_FINISHED = _at_ce(BY_STATE, CeJob.state == CeState.FINISHED.value, OUTPUTS_WANTED, DUE)
_FAILED = _at_ce(
    BY_REQUEST,
    CeJob.request == Request.FETCH.value,
    CeJob.state.in_(OVER_WORDS),
    CeJob.state != CeState.FINISHED.value,
    DUE,
)
_WISHED = _at_ce(BY_REQUEST, CeJob.request.in_(_WORDS), CeJob.state.in_(_STATES), DUE)
_UNPLACED = (
    through(BY_REQUEST, attempts())
    .where(CeJob.ce.is_(None), CeJob.request.is_not(None))
    # in the order of the index: by id alone, SQLite would read the whole table
    .order_by(CeJob.request, CeJob.id)
    .limit(_LIMIT)
)
_UNCARED = select(Ce.name).where(Ce.mode.notin_(CARED_FOR))
# "= true": MariaDB finds no index for "IS TRUE"
_WITH_NEWS = _listed(CeJob.app == _APP, CeJob.news == true())


def ce_row(session: Session, ce: str) -> Ce | None:
    return session.get(Ce, ce)


def specs(session: Session, ids: Collection[int]) -> dict[int, JobSpec]:
    """Job specifications by description id."""
    read: dict[int, JobSpec] = {}
    for chunk in chunks(set(ids)):
        rows = session.connection().execute(_SPECS, {"ids": chunk})
        read |= {number: JobSpec.model_validate_json(spec) for number, spec in rows}
    return read


def awaiting_inputs(session: Session, ce: str, now: datetime, limit: int) -> list[Attempt]:
    """Accepted jobs whose inputs, and with them the commit, have not been sent; they are wanted."""
    return found(session, _AWAITING_INPUTS, ce=ce, now=now, limit=limit)


def in_doubt(session: Session, ce: str, now: datetime, limit: int) -> list[Attempt]:
    """Submissions whose answer never came."""
    return found(session, _IN_DOUBT, ce=ce, now=now, limit=limit)


def living(session: Session, ce: str) -> list[Attempt]:
    """Jobs that the CE should know and that are not over."""
    return found(session, _AT_CE, ce=ce)


def living_among(session: Session, ce: str, ids: Collection[RemoteId]) -> list[Attempt]:
    """Those of these jobs that our rows call living."""
    return [attempt for chunk in chunks(ids) for attempt in found(session, _AMONG, ce=ce, names=chunk)]


def to_fetch(session: Session, ce: str, now: datetime, limit: int) -> list[Attempt]:
    """Ended jobs whose outputs are wanted: finished ones unless they go away, failed ones when somebody asked."""
    return [one for kind in (_FINISHED, _FAILED) for one in found(session, kind, ce=ce, now=now, limit=limit)]


def wished(
    session: Session,
    ce: str,
    requests: Sequence[Request],
    now: datetime,
    limit: int,
    states: Collection[CeState] = tuple(CeState),
) -> list[Attempt]:
    """Attempts at this CE, in one of these states, of which somebody wants one of these."""
    words, places = [request.value for request in requests], [state.value for state in states]
    return found(session, _WISHED, ce=ce, words=words, states=places, now=now, limit=limit)


class Task(StrEnum):
    """What there is to do at a CE besides sending jobs."""

    CANCEL = "cancel"
    KILL_AND_CLEAN = "kill and clean"
    RERUN = "rerun"
    RESUBMIT = "resubmit"
    DOUBT = "doubt"
    UNPLACED = "unplaced"  # at no CE


@cache
def _tasks() -> Select[Any]:
    def wish(request: Request, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        return has(BY_REQUEST, CeJob.ce == _CE, CeJob.request == request.value, DUE, *where)

    there: dict[Task, ColumnElement[bool]] = {
        Task.CANCEL: wish(Request.CANCEL),
        Task.KILL_AND_CLEAN: wish(Request.CLEAN, CeJob.state.in_(LIVING_WORDS)),
        Task.RERUN: wish(Request.RERUN),
        Task.RESUBMIT: wish(Request.RESUBMIT),
        Task.DOUBT: has(BY_STATE, CeJob.ce == _CE, CeJob.state == CeState.SUBMITTING.value, CeJob.due_at <= NOW),
        Task.UNPLACED: UNPLACED,
    }
    return select(*(there[task].label(task.name) for task in Task))


def tasks(session: Session, ce: str, now: datetime) -> set[Task]:
    """What there is to do at this CE, jobs that wait apart."""
    row = session.connection().execute(_tasks(), {"ce": ce, "now": now}).one()
    return {task for task, there in zip(Task, row, strict=True) if there}


def awake(session: Session, names: Collection[str], now: datetime) -> list[str]:
    """Those of these CEs that do not rest."""
    resting = or_(Ce.retry_at.is_(None), Ce.retry_at <= now)
    return list(session.scalars(select(Ce.name).where(Ce.name.in_(names), resting)))


def requests(session: Session, ids: Collection[int]) -> dict[int, str | None]:
    """What is wanted of these attempts at the moment."""
    read: dict[int, str | None] = {}
    for chunk in chunks(ids):
        rows = session.execute(select(CeJob.id, CeJob.request).where(CeJob.id.in_(chunk)))
        read |= {row.id: row.request for row in rows}
    return read


def wished_unplaced(session: Session, limit: int) -> list[Attempt]:
    """Attempts that no CE has and of which somebody wants something."""
    return found(session, _UNPLACED, limit=limit)


def uncared(session: Session) -> list[str]:
    """CEs that nobody asks."""
    return list(session.connection().scalars(_UNCARED))


def wished_over(session: Session, names: Collection[str], requests: Sequence[Request], limit: int) -> list[Attempt]:
    """Attempts at these CEs that are over, and of which somebody wants one of these."""
    words = [request.value for request in requests]
    wanted = (CeJob.ce.in_(names), CeJob.request.in_(words), CeJob.state.in_(_FINAL))
    return [as_attempt(row) for row in session.execute(through(BY_REQUEST, attempts()).where(*wanted).limit(limit))]


def by_keys(session: Session, keys: Collection[SubmissionKey]) -> Mapping[SubmissionKey, CeState]:
    """The states of attempts with these submission keys, rows at rest included."""
    read: dict[SubmissionKey, CeState] = {}
    for chunk in chunks(keys):
        for table in (CeJobArchive, CeJob):
            question = select(table.submission_key, table.state).where(table.submission_key.in_(chunk))
            read |= {SubmissionKey(row.submission_key): CeState(row.state) for row in session.execute(question)}
    return read


def with_news(session: Session, app: str, limit: int) -> list[Attempt]:
    """Rows of an application that moved since it last looked."""
    return found(session, _WITH_NEWS, app=app, limit=limit)
