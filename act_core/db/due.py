"""Which CEs have work, asked by each stage every second or two, and the conditions that say what is due."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, exists, literal, or_, select
from sqlalchemy.orm import Session

from act_core.db import fences
from act_core.db.models import Ce, CeJob, PlacementCe
from act_core.db.modes import CARED_FOR, SENT_TO
from act_core.db.types import Moment, UtcDateTime
from act_core.states import ENDED, FINAL, LIVING, CeState, Request

S = TypeVar("S", bound=Select[Any])
LIVING_WORDS = tuple(state.value for state in LIVING)
OVER_WORDS = tuple(state.value for state in ENDED | FINAL)
WAIT_FOR_INPUTS = (CeState.SUBMITTED.value, CeState.HOLDING.value)
# A statement that each round asks is put together once; what it leaves open it is told when it is asked.
NOW: Moment = bindparam("now", type_=UtcDateTime())
DUE = or_(CeJob.due_at.is_(None), CeJob.due_at <= NOW)
OUTPUTS_WANTED = or_(CeJob.request.is_(None), CeJob.request.notin_([Request.CLEAN.value, Request.RESUBMIT.value]))
BY_STATE, BY_REQUEST = "ix_ce_jobs_ce_state_due_at", "ix_ce_jobs_ce_request"


def through(index: str, question: S) -> S:
    """Of two indexes that begin with the CE, MariaDB takes the one that its samples favour, and reads all jobs of the
    CE if that was the wrong one: nearly all have the same request, none, and nearly all the same state."""
    return question.with_hint(CeJob, f"FORCE INDEX ({index})", "mysql")


def has(index: str, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is such a job, found through this index."""
    return through(index, select(literal(1)).select_from(CeJob)).where(*where).correlate_except(CeJob).exists()


def _wished(request: Request, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return has(BY_REQUEST, CeJob.ce == Ce.name, CeJob.request == request.value, DUE, *where)


def in_state(words: Sequence[str], *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the CE has jobs in one of these states. What no job is in costs one look for all CEs together.

    One look a word: with IN, MariaDB reads all rows of the CE.
    """
    return or_(
        *(
            and_(exists().where(CeJob.state == word), has(BY_STATE, CeJob.ce == Ce.name, CeJob.state == word, *where))
            for word in words
        )
    )


UNPLACED = has(BY_REQUEST, CeJob.ce.is_(None), CeJob.request.is_not(None))


def _to_send() -> ColumnElement[bool]:
    here = (PlacementCe.ce == Ce.name, CeJob.placement_id == PlacementCe.placement_id)
    waits_here = exists().where(*here, CeJob.state == CeState.TOSUBMIT.value, DUE).correlate(Ce)
    somewhere = exists().where(CeJob.state == CeState.TOSUBMIT.value)
    return and_(somewhere, or_(Ce.mode.in_(SENT_TO), Ce.probe_at <= NOW), waits_here)


def _submit_besides() -> ColumnElement[bool]:
    return or_(
        *(_wished(request) for request in (Request.CANCEL, Request.RERUN, Request.RESUBMIT)),
        _wished(Request.CLEAN, CeJob.state.in_(LIVING_WORDS)),
        in_state([CeState.SUBMITTING.value], CeJob.due_at <= NOW),
        in_state(WAIT_FOR_INPUTS, CeJob.due_at <= NOW, fences.vouched(CeJob, NOW)),
        UNPLACED,
    )


def due_ces(session: Session, stage: str, now: datetime, full: Collection[str] = ()) -> list[str]:
    """CEs with work for a stage, whose breaker is closed. One statement. `full`: what waits for these is no work."""
    told = {"now": now} | ({"full": list(full)} if stage == "submit" else {})
    return list(session.connection().scalars(_due_ces(stage), told))


@cache
def _due_ces(stage: str) -> Select[tuple[str]]:
    full: Any = bindparam("full", type_=String(), expanding=True)
    conditions: dict[str, ColumnElement[bool]] = {
        "submit": or_(_submit_besides(), and_(Ce.name.not_in(full), _to_send())),
        "sweep-status": and_(or_(Ce.next_look_at.is_(None), Ce.next_look_at <= NOW), in_state(LIVING_WORDS)),
        "fetch-validate": or_(
            in_state([CeState.FINISHED.value], OUTPUTS_WANTED, DUE),
            _wished(Request.FETCH, CeJob.state.in_(OVER_WORDS)),
        ),
        "clean": _wished(Request.CLEAN, CeJob.state.in_(OVER_WORDS)),
    }
    return _awake(conditions[stage])


@cache
def _with_jobs() -> Select[tuple[str]]:
    return _awake(in_state(LIVING_WORDS))


def _awake(condition: ColumnElement[bool]) -> Select[tuple[str]]:
    resting: ColumnElement[bool] = or_(Ce.retry_at.is_(None), Ce.retry_at <= NOW)
    return select(Ce.name).where(Ce.mode.in_(CARED_FOR), resting, condition).order_by(Ce.name)


def ces_with_jobs(session: Session, now: datetime) -> list[str]:
    """CEs that have jobs of ours and whose breaker is closed."""
    return list(session.connection().scalars(_with_jobs(), {"now": now}))
