"""What one source of answers may strike is weighed against these: who lives, who is missed, who was struck just now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Integer, Select, String, and_, case, func, literal, select, union_all
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, JobCount
from act_core.db.policy_models import BrakeRow, MassAction
from act_core.states import ENDED, LIVING, ON_CE, CeState

ON_CE_WORDS = tuple(sorted(state.value for state in ON_CE))
CE, QUEUE = "ce:", "queue:"


class Kind(StrEnum):
    """What would happen to living jobs."""

    LOSE = "lose"  # the CE does not know them any more
    VOID = "void"  # submissions that never arrived
    KILL = "kill"  # somebody's word ends them
    ABANDON = "abandon"
    ORPHANS = "orphans"  # jobs on the CE whose attempts are over would be killed


# Rows of which a good answer has said already what the kind would do.
MARKED: Mapping[Kind, tuple[str, ...]] = {
    Kind.LOSE: tuple(sorted(state.value for state in (LIVING | ENDED) - {CeState.CANCELLING})),
    Kind.VOID: (CeState.SUBMITTING.value,),
}


@dataclass(slots=True)
class Numbers:
    """What there is to weigh, by scope."""

    living: dict[str, int] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)
    recent: dict[str, int] = field(default_factory=dict)  # struck within the window
    on: dict[str, int] = field(default_factory=dict)  # the brake that holds
    left: dict[str, tuple[int, int]] = field(default_factory=dict)  # (brake, jobs) that a release lets through


@dataclass(frozen=True, slots=True)
class Weighed:
    """More than may go on one word."""

    scope: str
    kind: Kind
    source: str
    n: int
    living: int
    limit: int


def numbers(
    session: Session, ce: str, kind: Kind, source: str, shares: Collection[str], since: datetime, now: datetime
) -> Numbers:
    """What a batch of answers of a CE is weighed against. One statement."""
    scopes = [CE + ce, *(QUEUE + share for share in sorted(shares))]
    found = Numbers()
    parts = [_of_ce(ce, kind), *_of_table(scopes, kind, source, since, now)]
    if shares:
        parts.append(_counted(sorted(shares)))
    for what, name, a, b in session.execute(union_all(*parts)):
        _sort_in(found, what, name, int(a or 0), int(b or 0), CE + ce)
    return found


def _sort_in(found: Numbers, what: str, name: str, a: int, b: int, whole: str) -> None:
    if what == "share":
        for scope in (whole, QUEUE + name):
            found.living[scope] = found.living.get(scope, 0) + a
            found.marked[scope] = found.marked.get(scope, 0) + b
    elif what == "counted":  # of all CEs, and some minutes old
        found.living[QUEUE + name] = max(found.living.get(QUEUE + name, 0), a)
    elif what == "recent":
        found.recent[name] = a
    elif what == "on":
        found.on[name] = a
    elif b > 0:
        found.left[name] = (a, b)


def _what(word: str) -> Any:
    return literal(word, String(16))


def _of_ce(ce: str, kind: Kind) -> Select[Any]:
    marked = and_(CeJob.absent_since.is_not(None), CeJob.state.in_(MARKED.get(kind, ())))
    return (
        select(_what("share"), CeJob.share, func.count(), func.sum(case((marked, 1), else_=0)))
        .where(CeJob.ce == ce, CeJob.state.in_(ON_CE_WORDS))
        .group_by(CeJob.share)
    )


def _counted(shares: Sequence[str]) -> Select[Any]:
    return (
        select(_what("counted"), JobCount.share, func.sum(JobCount.n), literal(0, Integer))
        .where(JobCount.share.in_(shares), JobCount.state.in_(ON_CE_WORDS))
        .group_by(JobCount.share)
    )


def _of_table(scopes: Sequence[str], kind: Kind, source: str, since: datetime, now: datetime) -> list[Select[Any]]:
    recent = (
        select(_what("recent"), MassAction.scope, func.sum(MassAction.n), literal(0, Integer))
        .where(MassAction.scope.in_(scopes), MassAction.kind == kind.value, MassAction.at > since)
        .where(MassAction.source == source)
        .group_by(MassAction.scope)
    )
    row = BrakeRow
    mine = (row.scope.in_(scopes), row.kind == kind.value, row.source == source)
    on = select(_what("on"), row.scope, row.id, literal(0, Integer)).where(row.released_at.is_(None), *mine)
    left = select(_what("left"), row.scope, row.id, row.n - row.passed).where(row.released_until > now, *mine)
    return [recent, on, left]


def queue_numbers(
    session: Session, queues: Mapping[str, int], kind: Kind, source: str, since: datetime, now: datetime
) -> Numbers:
    """The same for a source that speaks of queues; `queues`: their living jobs."""
    found = Numbers(living={QUEUE + name: n for name, n in queues.items()})
    scopes = sorted(found.living)
    for what, name, a, b in session.execute(union_all(*_of_table(scopes, kind, source, since, now))):
        _sort_in(found, what, name, int(a or 0), int(b or 0), "")
    return found
