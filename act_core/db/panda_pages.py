"""What the operators' page asks of PanDA queues and PanDA jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from act_core.db.models import CeJob
from act_core.db.panda_models import PandaArchive, PandaColumns, PandaQueue, PandaRow
from act_core.db.policy_models import LedgerLine, Standing
from act_core.reasons import Topic

_Q = PandaQueue
# Without the raw entry, which is large.
_COLUMNS = (_Q.server, _Q.name, _Q.served, _Q.why, _Q.status, _Q.parsed, _Q.seen_at, _Q.fetch_due_at, _Q.trouble)


@dataclass(frozen=True, slots=True)
class QueueRow:
    server: str
    name: str
    served: bool
    why: str | None
    status: str
    parsed: Mapping[str, Any]
    seen_at: datetime
    fetch_due_at: datetime | None
    trouble: str | None


def queues(session: Session, served_only: bool = False) -> list[QueueRow]:
    question = select(*_COLUMNS).order_by(_Q.server, _Q.name)
    return [QueueRow(*row) for row in session.execute(question.where(_Q.served) if served_only else question)]


def queue(session: Session, name: str, server: str | None = None) -> QueueRow | None:
    """One that is served rather than another of its name."""
    question = select(*_COLUMNS).where(_Q.name == name)
    if server is not None:
        question = question.where(_Q.server == server)
    found = session.execute(question.order_by(_Q.served.desc(), _Q.server)).first()
    return QueueRow(*found) if found else None


def standing_of(session: Session, share: str) -> list[Standing]:
    """The reasons that hold for a share, the oldest first."""
    topics = [topic.value for topic in Topic]  # the first column of the index
    question = select(Standing).where(Standing.topic.in_(topics), Standing.share == share, Standing.job_id == 0)
    return list(session.scalars(question.order_by(Standing.since, Standing.ce)))


def lines_of(session: Session, share: str, limit: int) -> list[LedgerLine]:
    """The newest lines of the ledger about a share, the newest first."""
    question = select(LedgerLine).where(LedgerLine.share == share).order_by(LedgerLine.id.desc()).limit(limit)
    return list(session.scalars(question))


def newest_of(session: Session, share: str, limit: int) -> Sequence[CeJob]:
    question = select(CeJob).where(CeJob.share == share).order_by(CeJob.id.desc()).limit(limit)
    return session.scalars(question).all()


def panda_job(session: Session, server: str, panda_id: int, attempt_nr: int) -> tuple[PandaColumns, bool] | None:
    """The row, and whether it is at rest."""
    hot, old = PandaRow, PandaArchive
    found = session.scalars(
        select(hot)
        .options(defer(hot.secrets, raiseload=True))
        .where(hot.server == server, hot.panda_id == panda_id, hot.attempt_nr == attempt_nr)
    ).first()
    if found is not None:
        return found, False
    at_rest = (
        select(old)
        .options(defer(old.secrets, raiseload=True))
        .where(old.panda_id == panda_id, old.server == server, old.attempt_nr == attempt_nr)
    )
    row = session.scalars(at_rest.order_by(old.id.desc()).limit(1)).first()
    return (row, True) if row is not None else None


@dataclass(frozen=True, slots=True)
class QueueName:
    server: str
    name: str
    status: str


def names(session: Session) -> list[QueueName]:
    return [QueueName(*row) for row in session.execute(select(_Q.server, _Q.name, _Q.status).order_by(_Q.name))]
