"""Named questions to the engine's tables. Each goes through an index; a test reads the plans on both databases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, and_, bindparam, exists, or_, select, true
from sqlalchemy.orm import Session

from act_core.db import fences
from act_core.db.attempts import Attempt, as_attempt, attempts, found
from act_core.db.bulk import chunks
from act_core.db.models import Ce, CeJob, CeJobArchive, Description, PlacementCe
from act_core.db.modes import CARED_FOR, SENT_TO
from act_core.db.types import BigId, Moment, UtcDateTime
from act_core.ids import RemoteId, SubmissionKey
from act_core.jobspec import JobSpec
from act_core.states import ENDED, FINAL, LIVING, CeState, Request

_LIVING = tuple(state.value for state in LIVING)
_WAITING_INPUTS = (CeState.SUBMITTED.value, CeState.HOLDING.value)
_OVER = tuple(state.value for state in ENDED | FINAL)
_FINAL = tuple(state.value for state in FINAL)


# A statement that each round asks is put together once; what it leaves open it is told when it is asked.
_NOW: Moment = bindparam("now", type_=UtcDateTime())
_CE: Any = bindparam("ce", type_=String())
_APP: Any = bindparam("app", type_=String())
_IDS: Any = bindparam("ids", type_=BigId, expanding=True)
_NAMES: Any = bindparam("names", type_=String(), expanding=True)
_WORDS: Any = bindparam("words", type_=String(), expanding=True)
_STATES: Any = bindparam("states", type_=String(), expanding=True)
_LIMIT: Any = bindparam("limit", type_=Integer())


def _due(now: Moment) -> ColumnElement[bool]:
    return or_(CeJob.due_at.is_(None), CeJob.due_at <= now)


# A transfer that ends wakes its CE's steps whatever has become of the CE's mode: then they find nothing to ask.
_CARED_FOR = ~exists().where(Ce.name == _CE, Ce.mode.notin_(CARED_FOR))


def _listed(*where: ColumnElement[bool]) -> Select[Any]:
    return attempts().where(*where).order_by(CeJob.id).limit(_LIMIT)


def _at_ce(*where: ColumnElement[bool]) -> Select[Any]:
    return _listed(CeJob.ce == _CE, _CARED_FOR, *where)


def _outputs_wanted() -> ColumnElement[bool]:
    return or_(CeJob.request.is_(None), CeJob.request.notin_([Request.CLEAN.value, Request.RESUBMIT.value]))


_SPECS = select(Description.id, Description.spec).where(Description.id.in_(_IDS))
_AWAITING_INPUTS = _at_ce(
    CeJob.state.in_(_WAITING_INPUTS),
    CeJob.due_at <= _NOW,
    CeJob.inputs_sent_at.is_(None),
    fences.vouched(CeJob, _NOW),
    or_(CeJob.request.is_(None), CeJob.request == Request.FETCH.value),
)
_IN_DOUBT = _at_ce(CeJob.state == CeState.SUBMITTING.value, CeJob.due_at <= _NOW)
_AT_CE = attempts().where(CeJob.ce == _CE, CeJob.state.in_(_LIVING), CeJob.remote_id.is_not(None))
_AMONG = attempts().where(CeJob.ce == _CE, CeJob.remote_id.in_(_NAMES), CeJob.state.in_(_LIVING))
_FINISHED = _at_ce(CeJob.state == CeState.FINISHED.value, _outputs_wanted(), _due(_NOW))
_FAILED = _at_ce(
    CeJob.request == Request.FETCH.value,
    CeJob.state.in_(_OVER),
    CeJob.state != CeState.FINISHED.value,
    _due(_NOW),
)
_WISHED = _at_ce(CeJob.request.in_(_WORDS), CeJob.state.in_(_STATES), _due(_NOW))
_UNPLACED = (
    attempts()
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
        return exists().where(CeJob.ce == _CE, CeJob.request == request.value, _due(_NOW), *where)

    there: dict[Task, ColumnElement[bool]] = {
        Task.CANCEL: wish(Request.CANCEL),
        Task.KILL_AND_CLEAN: wish(Request.CLEAN, CeJob.state.in_(_LIVING)),
        Task.RERUN: wish(Request.RERUN),
        Task.RESUBMIT: wish(Request.RESUBMIT),
        Task.DOUBT: exists().where(CeJob.ce == _CE, CeJob.state == CeState.SUBMITTING.value, CeJob.due_at <= _NOW),
        Task.UNPLACED: exists().where(CeJob.ce.is_(None), CeJob.request.is_not(None)),
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
    return [as_attempt(row) for row in session.execute(attempts().where(*wanted).limit(limit))]


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


def _has(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(CeJob.ce == Ce.name, *where).correlate(Ce)


def _has_any(column: Any, words: Sequence[str], *where: ColumnElement[bool]) -> ColumnElement[bool]:
    # One look into the index a word: with IN, MariaDB reads all rows of the CE, the ones at rest too.
    return or_(*(_has(column == word, *where) for word in words))


def _to_send(now: Moment) -> ColumnElement[bool]:
    waiting_here = (
        exists()
        .where(
            PlacementCe.ce == Ce.name,
            CeJob.placement_id == PlacementCe.placement_id,
            CeJob.state == CeState.TOSUBMIT.value,
            _due(now),
        )
        .correlate(Ce)
    )
    return and_(or_(Ce.mode.in_(SENT_TO), Ce.probe_at <= now), waiting_here)


def _submit_besides(now: Moment) -> ColumnElement[bool]:
    acted = [request.value for request in (Request.CANCEL, Request.RERUN, Request.RESUBMIT)]
    return or_(
        _has_any(CeJob.request, acted, _due(now)),
        _has(CeJob.request == Request.CLEAN.value, CeJob.state.in_(_LIVING), _due(now)),
        _has(CeJob.state == CeState.SUBMITTING.value, CeJob.due_at <= now),
        _has_any(CeJob.state, _WAITING_INPUTS, CeJob.due_at <= now, fences.vouched(CeJob, now)),
        exists().where(CeJob.ce.is_(None), CeJob.request.is_not(None)),
    )


def due_ces(session: Session, stage: str, now: datetime, full: Collection[str] = ()) -> list[str]:
    """CEs with work for a stage, whose breaker is closed. One statement. `full`: what waits for these is no work."""
    told = {"now": now} | ({"full": list(full)} if stage == "submit" else {})
    return list(session.connection().scalars(_due_ces(stage), told))


@lru_cache
def _due_ces(stage: str) -> Select[tuple[str]]:
    """Asked by each stage every second or two: it is put together once."""
    now = _NOW
    full: Any = bindparam("full", type_=String(), expanding=True)
    conditions: dict[str, ColumnElement[bool]] = {
        "submit": or_(_submit_besides(now), and_(Ce.name.not_in(full), _to_send(now))),
        "sweep-status": and_(or_(Ce.next_look_at.is_(None), Ce.next_look_at <= now), _has_any(CeJob.state, _LIVING)),
        "fetch-validate": or_(
            _has(CeJob.state == CeState.FINISHED.value, _outputs_wanted(), _due(now)),
            _has(CeJob.request == Request.FETCH.value, CeJob.state.in_(_OVER), _due(now)),
        ),
        "clean": _has(CeJob.request == Request.CLEAN.value, CeJob.state.in_(_OVER), _due(now)),
    }
    question: Any = select(Ce.name).where(
        Ce.mode.in_(CARED_FOR), or_(Ce.retry_at.is_(None), Ce.retry_at <= now), conditions[stage]
    )
    return question.order_by(Ce.name)  # type: ignore[no-any-return]


def ces_with_jobs(session: Session, now: datetime) -> list[str]:
    """CEs that have jobs of ours and whose breaker is closed."""
    question: Any = select(Ce.name).where(
        Ce.mode.in_(CARED_FOR), or_(Ce.retry_at.is_(None), Ce.retry_at <= now), _has_any(CeJob.state, _LIVING)
    )
    return list(session.scalars(question.order_by(Ce.name)))
