"""How many attempts stand where: counted once in a while, read by everybody; what is unchanged is not written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.day_models import DailySlots
from act_core.db.models import CeJob, HourlySlots, JobCount, Tower
from act_core.states import CeState

EVERY = timedelta(seconds=7)  # with the look that finds it due, counts are at most 10 s old
FRESH = timedelta(seconds=30)  # older counts say that no tower is up, or that none can count
Key = tuple[str, ...]
_QUEUED = {CeState.SUBMITTED.value, CeState.HOLDING.value}


def counted_at(session: Session) -> datetime | None:
    """When the counts were last true; None: never counted."""
    return session.execute(select(Tower.counted_at).where(Tower.id == 1)).scalar()


@dataclass(frozen=True, slots=True)
class Count:
    """So many newest attempts of a share stand in a state at a CE (empty: at none); the oldest since then."""

    app: str
    ce: str
    share: str
    state: str
    n: int
    cores: int
    oldest: datetime


def counts(session: Session, ce: str | None = None, share: str | None = None) -> list[Count]:
    """What was counted then, of all, of a CE or of a share; the jobs themselves are not read."""
    t = JobCount
    question = select(t.app, t.ce, t.share, t.state, t.n, t.cores, t.oldest)
    if ce is not None:
        question = question.where(t.ce == ce)
    if share is not None:
        question = question.where(t.share == share)
    return [Count(*row) for row in session.execute(question)]


def fresh(at: datetime | None, now: datetime) -> bool:
    """Whether counts of then may be told as of now."""
    return at is not None and now - at <= FRESH


def begin(session: Session, now: datetime, every: timedelta) -> datetime | None:
    """Take the turn to count; returns when it was done before (long ago, if never), None: it is not due.

    The tower's row stays locked until the end of the transaction, so that nobody else counts meanwhile.
    """
    before = session.execute(select(Tower.counted_at).where(Tower.id == 1).with_for_update()).scalar()
    # a little before: who counted then was asked a moment later than we, and we waited for him
    if before is not None and -every < now - before < every:
        return None
    session.execute(update(Tower).where(Tower.id == 1).values(counted_at=now))
    return before or datetime.min.replace(tzinfo=now.tzinfo)


def count_attempts(session: Session, now: datetime, before: datetime) -> Counter[str]:
    """Bring `job_counts` up to date, and sample the hour once a minute. Returns the newest attempts by state."""
    groups = (CeJob.ce, CeJob.state, CeJob.share, CeJob.app)  # in the order of the index that is read
    found = session.execute(
        select(
            *groups, func.count(), func.sum(func.coalesce(CeJob.cores, CeJob.cores_asked)), func.min(CeJob.state_since)
        )
        .where(CeJob.superseded_by.is_(None))
        .group_by(*groups)
    )
    counts: dict[Key, Mapping[str, Any]] = {
        (app, ce or "", share, state): {"n": n, "cores": int(cores), "oldest": oldest}
        for ce, state, share, app, n, cores, oldest in found
    }
    rewrite(session, JobCount, ("app", "ce", "share", "state"), counts)
    minute, last = now.replace(second=0, microsecond=0), before.replace(second=0, microsecond=0)
    if minute > last or before - now > FRESH:  # or the clock was set back
        _sample(session, counts, now)
    states: Counter[str] = Counter()
    for (*_, state), values in counts.items():
        states[state] += values["n"]
    return states


def rewrite(session: Session, table: Any, names: Sequence[str], counts: Mapping[Key, Mapping[str, Any]]) -> int:
    """Make the table say this, and only this, by key; returns how many rows had to be written or removed."""
    keys = tuple(getattr(table, name) for name in names)
    told = [column.name for column in table.__table__.columns if column.name not in names]
    rows = session.execute(select(*keys, *(getattr(table, name) for name in told)))
    held = {tuple(row[: len(names)]): tuple(row[len(names) :]) for row in rows}
    said = {key: values for key, values in counts.items() if held.get(key) != tuple(values[name] for name in told)}
    old = [key for key in held if key not in counts or key in said]
    for some in chunks(old):
        session.execute(delete(table).where(tuple_(*keys).in_(some)).execution_options(synchronize_session=False))
    if said:
        session.execute(insert(table), [dict(zip(names, key, strict=True)) | dict(said[key]) for key in said])
    return len(said.keys() | set(old))


def _sample(session: Session, counts: Mapping[Key, Mapping[str, Any]], now: datetime) -> None:
    """Add what the CEs hold at this moment to their hour and to their day."""
    held = _by_ce(counts)
    _add(session, HourlySlots, HourlySlots.hour, f"{now:%Y-%m-%dT%H}", held)
    _add(session, DailySlots, DailySlots.day, f"{now:%Y-%m-%d}", held)


def _add(session: Session, table: Any, column: Any, time: str, held: Mapping[str, Counter[str]]) -> None:
    there = {row.ce: row for row in session.scalars(select(table).where(column == time))}
    for ce in sorted(held.keys() | there.keys()):
        sums = held.get(ce, Counter())
        row = there.get(ce)
        if row is None:
            row = table(**{column.key: time}, ce=ce, samples=0, queued=0, running=0, slots=0)
            session.add(row)
        row.samples += 1
        row.queued += sums["queued"]
        row.running += sums["running"]
        row.slots += sums["slots"]
    session.flush()


def _by_ce(counts: Mapping[Key, Mapping[str, Any]]) -> dict[str, Counter[str]]:
    held: dict[str, Counter[str]] = {}
    for (_app, ce, _share, state), values in counts.items():
        if state in _QUEUED:
            held.setdefault(ce, Counter())["queued"] += values["n"]
        elif state == CeState.RUNNING.value:
            held.setdefault(ce, Counter()).update(running=values["n"], slots=values["cores"])
    return held


def hours(session: Session, first: str, last: str) -> Iterable[HourlySlots]:
    """The hours `YYYY-MM-DDTHH` from first to last, both included, of every CE that held anything."""
    wanted = select(HourlySlots).where(HourlySlots.hour >= first, HourlySlots.hour <= last)
    return session.scalars(wanted.order_by(HourlySlots.hour, HourlySlots.ce)).all()
