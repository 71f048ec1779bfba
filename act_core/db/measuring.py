"""What metrics and the dead man's check ask of the state tables: few statements, however many jobs there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from act_core.db.models import Ce, JobCount, Lease
from act_core.db.panda_models import PandaRow
from act_core.db.policy_models import Standing

Moment = datetime | None
COUNTED_AT_MOST = 10_000  # overdue heartbeats: a day's outage must not make every look slow


@dataclass(frozen=True, slots=True)
class Late:
    """Reports to a PanDA server whose time has come, and since when the first one waits."""

    n: int
    since: datetime


def late_heartbeats(session: Session, now: datetime, by: str) -> Mapping[str, Late]:
    """By server; jobs of the reporter `by` are not ours to report. Of very many the oldest are counted."""
    due = PandaRow.heartbeat_due_at
    oldest = (
        select(PandaRow.server, due.label("due"))
        .where(due <= now, PandaRow.reporter != by)
        .order_by(due)
        .limit(COUNTED_AT_MOST)
        .subquery()
    )
    found = select(oldest.c.server, func.count(), func.min(oldest.c.due)).group_by(oldest.c.server)
    return {server: Late(n, since) for server, n, since in session.execute(found)}


def job_counts(session: Session) -> Sequence[Row[tuple[str, str, str, str, int, int, datetime]]]:
    """(app, CE, share, state, n, cores, since when the oldest is in it)."""
    columns = (JobCount.app, JobCount.ce, JobCount.share, JobCount.state, JobCount.n, JobCount.cores, JobCount.oldest)
    return session.execute(select(*columns)).all()


def ces(session: Session) -> Sequence[Row[tuple[str, str, str, int, int, Moment, Moment, Moment]]]:
    """(name, endpoint, mode, maxjobs, failures in a row, retry_at, last_seen, next_poll_at)."""
    columns = (Ce.name, Ce.endpoint, Ce.mode, Ce.maxjobs, Ce.failures, Ce.retry_at, Ce.last_seen, Ce.next_poll_at)
    return session.execute(select(*columns).order_by(Ce.name)).all()


def reasons(session: Session) -> Mapping[tuple[str, str], int]:
    """(topic, code) → CEs and shares for which that holds now; reasons of single jobs are left out."""
    question = select(Standing.topic, Standing.code, func.count()).where(Standing.job_id == 0)
    return {(topic, code): n for topic, code, n in session.execute(question.group_by(Standing.topic, Standing.code))}


def last_work(session: Session) -> Mapping[str, datetime]:
    """Stage and verb → until when its newest lease is, or was, held."""
    return dict(session.execute(select(Lease.stage, func.max(Lease.until)).group_by(Lease.stage)).tuples().all())


def newest_leases(session: Session, limit: int) -> Sequence[Row[tuple[str, datetime]]]:
    """(holder, until) of who worked last, the last one first; each holder once."""
    until = func.max(Lease.until)
    return session.execute(select(Lease.holder, until).group_by(Lease.holder).order_by(until.desc()).limit(limit)).all()
