"""How long CEs have not answered, counted in time in which that says something; and the attempts of one of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt, as_attempt, attempts
from act_core.db.models import Ce, CeJob
from act_core.states import FINAL, ON_CE, Request

_ON_CE = tuple(sorted(state.value for state in ON_CE))
_FINAL = tuple(sorted(state.value for state in FINAL))


def keep(session: Session, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what was counted: one statement a CE that is silent."""
    for name in sorted(changes):
        session.execute(update(Ce).where(Ce.name == name).values(**changes[name]))


def on_ces(session: Session, names: Collection[str]) -> dict[str, int]:
    """How many jobs of ours these CEs have."""
    question = select(CeJob.ce, func.count()).where(CeJob.ce.in_(list(names)), CeJob.state.in_(_ON_CE))
    return {str(ce): n for ce, n in session.execute(question.group_by(CeJob.ce)).tuples()}


def by_state(session: Session, ce: str) -> dict[str, int]:
    """The jobs of ours that a CE has."""
    question = select(CeJob.state, func.count()).where(CeJob.ce == ce, CeJob.state.in_(_ON_CE))
    return dict(session.execute(question.group_by(CeJob.state)).tuples().all())


def there(session: Session, ce: str, after: int, limit: int) -> Sequence[Attempt]:
    """Attempts that this CE has or may have, by id, from the one after `after` on."""
    question = attempts().where(CeJob.ce == ce, CeJob.state.in_(_ON_CE), CeJob.id > after)
    return [as_attempt(row) for row in session.execute(question.order_by(CeJob.id).limit(limit))]


def _left_by(ce: str) -> ColumnElement[bool]:
    """What a CE can say nothing of to another identity: its jobs, and those that are over and yet to be cleaned."""
    unclean = and_(CeJob.request == Request.CLEAN.value, CeJob.state.in_(_FINAL), CeJob.ce_clean_at.is_(None))
    return and_(CeJob.ce == ce, or_(CeJob.state.in_(_ON_CE), unclean))


def by_identity(session: Session, ce: str) -> dict[int, dict[str, int]]:
    """What each identity has left at a CE: its id → state → jobs. Of jobs without an identity nothing is said."""
    question = select(CeJob.credential_id, CeJob.state, func.count()).where(_left_by(ce))
    found: dict[int, dict[str, int]] = {}
    for identity, state, n in session.execute(question.group_by(CeJob.credential_id, CeJob.state)).tuples():
        if identity is not None:
            found.setdefault(identity, {})[state] = n
    return found


def of_before(session: Session, ce: str, sent: datetime, after: int, limit: int) -> Sequence[Attempt]:
    """The attempts among these whose send deadline is not after `sent`, by id, from the one after `after` on."""
    question = attempts().where(_left_by(ce), CeJob.send_deadline <= sent, CeJob.id > after)
    return [as_attempt(row) for row in session.execute(question.order_by(CeJob.id).limit(limit))]


def by_state_before(session: Session, ce: str, sent: datetime) -> dict[str, int]:
    """How many of them, by state."""
    question = select(CeJob.state, func.count()).where(_left_by(ce), CeJob.send_deadline <= sent)
    return dict(session.execute(question.group_by(CeJob.state)).tuples().all())


def of_identity(session: Session, ce: str, identity: int, after: int, limit: int) -> Sequence[Attempt]:
    """The attempts among these that one identity submitted, by id, from the one after `after` on."""
    question = attempts().where(_left_by(ce), CeJob.credential_id == identity, CeJob.id > after)
    return [as_attempt(row) for row in session.execute(question.order_by(CeJob.id).limit(limit))]
