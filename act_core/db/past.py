"""Questions about a moment that is over: events and the ledger only grow, and so they tell it. Through indexes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from act_core.db.bulk import chunks
from act_core.db.ledger import Subject
from act_core.db.models import CeJob, CeJobArchive, CeJobEvent
from act_core.db.policy_models import LedgerLine, Standing
from act_core.reasons import Topic
from act_core.states import FINAL, CeState

EVENTS_KEPT = timedelta(days=30)
_FINAL = tuple(state.value for state in FINAL)
_LIVING = tuple(state.value for state in CeState if state not in FINAL)
_AT_REST = "ix_ce_jobs_archive_modified_created_state_since"
_HAPPENED = (Topic.OUTPUTS.value,)  # lines of what happened once: they never held


@dataclass(frozen=True, slots=True)
class Stood:
    """How many attempts stood in a state at a CE; `ce` empty: at none."""

    ce: str
    state: CeState
    n: int


@dataclass(frozen=True, slots=True)
class HeldThen:
    """A line of the ledger that held; `since` it was written."""

    topic: str
    ce: str
    share: str
    job_id: int
    code: str
    since: datetime
    n: int
    facts: dict[str, Any]


def is_over(state: str) -> bool:
    return state in _FINAL


def first_event(session: Session) -> datetime | None:
    """None: nothing has happened yet."""
    return session.execute(select(func.min(CeJobEvent.at))).scalar()


def stood(session: Session, when: datetime) -> list[Stood]:
    """The attempts that were not over, in one statement.

    Most that stand still as they stood then are counted as they are; of the others, as long as they were there then,
    the last event until then is looked up. What a purge took is told by the next event: it says where it came from.
    """
    there = union_all(*_there(when)).subquery("there")
    event = aliased(CeJobEvent)
    state = case(
        (there.c.moved == 0, there.c.state),
        else_=func.coalesce(event.to_state, _next(there, when), CeState.TOSUBMIT.value),
    )
    columns = state.label("then"), func.coalesce(event.ce, there.c.ce, "").label("place")
    question = select(*columns, func.count()).select_from(there.outerjoin(event, event.id == there.c.last))
    counts: dict[tuple[str, CeState], int] = {}
    for word, ce, n in session.execute(question.group_by(*columns)):
        was = CeState(word)
        key = "" if was is CeState.TOSUBMIT else ce, was
        counts[key] = counts.get(key, 0) + n
    return [Stood(ce, was, n) for (ce, was), n in sorted(counts.items()) if was not in FINAL]


def _there(when: datetime) -> list[Select[Any]]:
    """Attempts that were there, and were over later or are not yet; one that is succeeded is over since then."""
    hot, old = CeJob, CeJobArchive
    moved = case((hot.state_since > when, 1), else_=0).label("moved")
    last = case((hot.state_since > when, _last(hot, when))).label("last")
    living = select(hot.id, hot.ce, hot.state, moved, last).where(hot.state.in_(_LIVING), hot.created <= when)
    # Rows that are over are not asked when they moved, as long as they are here: that is an hour.
    over = select(hot.id, hot.ce, hot.state, moved, last).where(
        hot.state.in_(_FINAL), hot.created <= when, hot.state_since > when
    )
    at_rest = select(old.id, old.ce, old.state, literal(1), _last(old, when)).where(
        old.modified > when, old.created <= when, old.state_since > when
    )
    # MariaDB would read the whole table where most of it was modified since then: the index is a tenth of that.
    return [living, over, at_rest.with_hint(old, f"FORCE INDEX ({_AT_REST})", "mysql")]


def _last(table: Any, when: datetime) -> Any:
    """The last event until then: the index alone tells which one that is."""
    one = aliased(CeJobEvent)
    question = select(one.id).where(one.job_id == table.id, one.at <= when).order_by(one.at.desc(), one.id.desc())
    return question.limit(1).correlate(table).scalar_subquery()


def _next(there: Any, when: datetime) -> Any:
    oldest = (CeJobEvent.at, CeJobEvent.id)
    question = select(CeJobEvent.from_state).where(CeJobEvent.job_id == there.c.id, CeJobEvent.at > when)
    return question.order_by(*oldest).limit(1).correlate(there).scalar_subquery()


def ended(session: Session, since: datetime, when: datetime) -> list[Stood]:
    """Attempts that came to their end after `since`, until `when`."""
    columns = (func.coalesce(CeJobEvent.ce, ""), CeJobEvent.to_state)
    moved = (CeJobEvent.to_state.in_(_FINAL), CeJobEvent.from_state != CeJobEvent.to_state)
    question = select(*columns, func.count()).where(CeJobEvent.at > since, CeJobEvent.at <= when, *moved)
    found = session.execute(question.group_by(*columns))
    return sorted((Stood(ce, CeState(state), n) for ce, state, n in found), key=lambda one: (one.ce, one.state))


def held(
    session: Session, when: datetime, *, ces: Collection[str] = (), job_ids: Collection[int] = ()
) -> list[HeldThen]:
    """What held then: of these CEs and jobs; of everything, if none is named. The oldest first.

    What holds since then is known where its line has been purged, too.
    """
    lines_of, standing_of = (_whose(table, ces, job_ids) for table in (LedgerLine, Standing))
    subject = (LedgerLine.topic, LedgerLine.ce, LedgerLine.share, LedgerLine.job_id)
    newest = select(func.max(LedgerLine.id)).where(LedgerLine.at <= when, *lines_of).group_by(*subject)
    now = session.scalars(select(Standing).where(Standing.since <= when, *standing_of))
    found: dict[Subject, HeldThen] = {_subject(row): _held(row, row.since) for row in now}
    for ids in chunks(session.scalars(newest).all()):
        lines = select(LedgerLine).where(LedgerLine.id.in_(ids), LedgerLine.topic.notin_(_HAPPENED))
        for line in session.scalars(lines):
            if line.code:
                found.setdefault(_subject(line), as_held(line))
    return sorted(found.values(), key=lambda one: (one.since, one.topic, one.ce, one.share))


def _whose(table: Any, ces: Collection[str], job_ids: Collection[int]) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [table.ce.in_(list(ces))] if ces else []
    wanted += [table.job_id.in_(list(job_ids))] if job_ids else []
    return [or_(*wanted)] if wanted else []


def _subject(row: Any) -> Subject:
    return row.topic, row.ce, row.share, row.job_id


def as_held(line: LedgerLine) -> HeldThen:
    return _held(line, line.at)


def _held(row: Any, since: datetime) -> HeldThen:
    return HeldThen(*_subject(row), row.code, since, row.n, dict(row.facts))


def noted(session: Session, ce: str, since: datetime, until: datetime) -> Sequence[LedgerLine]:
    """The lines about a CE as a whole or a share of it, after `since`, until `until`, in their order."""
    question = select(LedgerLine).where(LedgerLine.ce == ce, LedgerLine.at > since, LedgerLine.at <= until)
    return session.scalars(question.order_by(LedgerLine.id)).all()


def next_line(session: Session, ce: str, when: datetime) -> LedgerLine | None:
    """What was decided next about a CE."""
    question = select(LedgerLine).where(LedgerLine.ce == ce, LedgerLine.at > when)
    return session.scalars(question.order_by(LedgerLine.at, LedgerLine.id).limit(1)).one_or_none()
