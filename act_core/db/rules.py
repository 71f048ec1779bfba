"""How often each error rule was applied, and CEs that rest because several jobs said so."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, false, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import Ce, CeJob, CeJobArchive
from act_core.db.modes import RULE, Mode, Wanted, set_mode
from act_core.db.policy_models import RuleHit
from act_core.states import CeState


@dataclass(frozen=True, slots=True)
class Hit:
    """Jobs of one batch to which a rule was applied."""

    rule: str
    ce: str
    n: int
    last_job: int
    others: int | None = None  # jobs among them that have not been counted in this window; None: all


def count(session: Session, hits: Collection[Hit], now: datetime, window: timedelta) -> dict[tuple[str, str], int]:
    """Add hits of a batch; returns how many there were of each (rule, CE) in the window that is under way."""
    within: dict[tuple[str, str], int] = {}
    known = {(row.rule, row.ce): row for row in _rows(session, hits)}
    for hit in sorted(hits, key=lambda one: (one.rule, one.ce)):  # one order for all: fewer deadlocks
        row = known.get((hit.rule, hit.ce))
        same = row is not None and now - row.window_at < window
        told: dict[str, Any] = {
            "n": (row.n if row else 0) + hit.n,
            "last_at": now,
            "last_job": hit.last_job,
            "window_at": row.window_at if row and same else now,
            "window_n": (row.window_n if row and same else 0) + (hit.n if hit.others is None else hit.others),
        }
        if row is None:
            _first(session, hit, told)
        else:
            where = RuleHit.rule == hit.rule, RuleHit.ce == hit.ce
            session.execute(update(RuleHit).where(*where).values(**told).execution_options(synchronize_session=False))
        within[hit.rule, hit.ce] = told["window_n"]
    return within


def _rows(session: Session, hits: Collection[Hit]) -> list[RuleHit]:
    keys = [(hit.rule, hit.ce) for hit in hits]
    question = select(RuleHit).where(tuple_(RuleHit.rule, RuleHit.ce).in_(keys)).with_for_update()
    return list(session.scalars(question))


def _first(session: Session, hit: Hit, told: dict[str, Any]) -> None:
    try:
        with session.begin_nested():
            session.execute(insert(RuleHit).values(rule=hit.rule, ce=hit.ce, **told))
    except IntegrityError:  # another process counts the same rule for the first time in this moment
        where = RuleHit.rule == hit.rule, RuleHit.ce == hit.ce
        session.execute(
            update(RuleHit)
            .where(*where)
            .values(n=RuleHit.n + hit.n, window_n=RuleHit.window_n + told["window_n"], last_at=told["last_at"])
            .execution_options(synchronize_session=False)
        )


def rest(session: Session, ce: str, why: str, until: datetime, now: datetime) -> bool:
    """Let a CE that is on rest for a while; a mode that somebody chose stays. Returns whether it rests from now on."""
    mode = session.execute(select(Ce.mode).where(Ce.name == ce)).scalar_one_or_none()
    return mode == Mode.ON and set_mode(session, ce, Wanted(Mode.REST, RULE, why, until), now)


def held_shares(session: Session, ce: str, now: datetime) -> set[str]:
    """Shares of which this CE has jobs that an error rule left as they are."""
    holding = CeJob.state == CeState.HOLDING.value
    endless = and_(CeJob.due_at.is_(None), CeJob.request.is_(None), CeJob.news == false())  # jobs.maxtimehold: 0
    failed = and_(CeJob.state == CeState.FAILED.value, or_(CeJob.due_at > now, endless))
    question = select(CeJob.share).where(CeJob.ce == ce, CeJob.rule.is_not(None), or_(holding, failed)).distinct()
    return set(session.scalars(question))


def hits(session: Session) -> list[RuleHit]:
    """All counters, the newest first."""
    return list(session.scalars(select(RuleHit).order_by(RuleHit.last_at.desc(), RuleHit.rule, RuleHit.ce)))


def app_job_ids(session: Session, attempts: Collection[int]) -> dict[int, str]:
    """What their applications call these attempts, rows at rest included."""
    found: dict[int, str] = {}
    for table in (CeJobArchive, CeJob):
        for chunk in chunks(attempts):
            rows = session.execute(select(table.id, table.app_job_id).where(table.id.in_(chunk)))
            found |= {row.id: row.app_job_id for row in rows}
    return found
