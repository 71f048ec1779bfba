"""The decision ledger: a line when a reason changes, and the reason that holds now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, tuple_
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.policy_models import LedgerLine, Standing
from act_core.reasons import Reason, Topic
from act_core.words import redacted

Subject = tuple[str, str, str, int]  # topic, CE, share, job
NOBODY = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A reason for a subject; without a reason: what held is over. `n`: how many jobs it holds at this moment."""

    topic: Topic
    reason: Reason | None
    ce: str = NOBODY
    share: str = NOBODY
    job_id: int = 0
    n: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        return self.topic.value, self.ce, self.share, self.job_id

    @property
    def code(self) -> str:
        return self.reason.value if self.reason else ""


def note(session: Session, lines: Collection[Line], now: datetime) -> int:
    """Write the lines whose reason is another one than the one that holds; returns how many."""
    newest = {line.subject: line for line in lines}
    written = 0
    for subjects in chunks(sorted(newest)):
        held = {key: row.code for key, row in _standing(session, subjects).items()}
        changed = [newest[one] for one in subjects if held.get(one, "") != newest[one].code]
        if changed:
            _write(session, changed, held, now)
            written += len(changed)
    return written


def append(session: Session, lines: Collection[Line], now: datetime) -> None:
    """Write lines of what has happened: each of them, and nothing holds after them."""
    if lines:
        session.execute(insert(LedgerLine), [_row(line) | {"at": now} for line in lines])


def correct(session: Session, lines: Collection[Line]) -> None:
    """Give the lines that hold other facts, where their reason is the same: nothing new for the ledger."""
    newest = {line.subject: line for line in lines}
    for subjects in chunks(sorted(newest)):
        for key, row in _standing(session, subjects).items():
            if row.code == newest[key].code:
                row.n, row.facts = newest[key].n, redacted(newest[key].facts)


def _standing(session: Session, subjects: Sequence[Subject]) -> dict[Subject, Standing]:
    columns = (Standing.topic, Standing.ce, Standing.share, Standing.job_id)
    found = session.scalars(select(Standing).where(tuple_(*columns).in_(subjects)))
    return {(row.topic, row.ce, row.share, row.job_id): row for row in found}


def _write(session: Session, changed: Sequence[Line], held: Mapping[Subject, str], now: datetime) -> None:
    rows = [_row(line) for line in changed]
    session.execute(insert(LedgerLine), [row | {"at": now} for row in rows])
    if gone := [line.subject for line in changed if line.subject in held]:
        columns = (Standing.topic, Standing.ce, Standing.share, Standing.job_id)
        session.execute(delete(Standing).where(tuple_(*columns).in_(gone)).execution_options(synchronize_session=False))
    if new := [row | {"since": now} for row in rows if row["code"]]:
        session.execute(insert(Standing), new)


def _row(line: Line) -> dict[str, Any]:
    names = ("ce", "share", "job_id", "code", "n")
    return {name: getattr(line, name) for name in names} | {"topic": line.topic.value, "facts": redacted(line.facts)}


def standing(session: Session, *, ces: Collection[str] = (), job_ids: Collection[int] = ()) -> list[Standing]:
    """What holds now: of these CEs and jobs; of everything, if none is named. The oldest first."""
    wanted: list[ColumnElement[bool]] = []
    if ces:
        wanted.append(Standing.ce.in_(list(ces)))
    if job_ids:
        wanted.append(Standing.job_id.in_(list(job_ids)))
    question = select(Standing).where(or_(*wanted)) if wanted else select(Standing)
    return list(session.scalars(question.order_by(Standing.since, Standing.topic)))


def newest(session: Session) -> int:
    """The number of the newest line; 0: there is none."""
    return session.execute(select(func.max(LedgerLine.id))).scalar() or 0


def since(session: Session, line: int, topics: Sequence[str], limit: int) -> list[LedgerLine]:
    """Lines of these topics after that one, in order."""
    question = select(LedgerLine).where(LedgerLine.id > line, LedgerLine.topic.in_(topics))
    return list(session.scalars(question.order_by(LedgerLine.id).limit(limit)))


def lines(session: Session, *, ce: str | None = None, job_id: int | None = None, limit: int = 50) -> list[LedgerLine]:
    """The newest lines of the ledger about a CE or a job, the newest first."""
    question = select(LedgerLine)
    if ce is not None:
        question = question.where(LedgerLine.ce == ce)
    if job_id is not None:
        question = question.where(LedgerLine.job_id == job_id)
    return list(session.scalars(question.order_by(LedgerLine.id.desc()).limit(limit)))


def page(
    session: Session, limit: int, *, ce: str | None = None, topic: str | None = None, before: int | None = None
) -> list[LedgerLine]:
    """Lines of a CE, of a topic, or all, the newest first. `before`: the id from which on they are known."""
    question = select(LedgerLine)
    if ce is not None:
        question = question.where(LedgerLine.ce == ce)
    if topic is not None:
        question = question.where(LedgerLine.topic == topic)
    if before is not None:
        question = question.where(LedgerLine.id < before)
    return list(session.scalars(question.order_by(LedgerLine.id.desc()).limit(limit)))
