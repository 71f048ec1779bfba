"""What the operators' page asks: each question of a small table, or through an index of a big one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.counting import Count
from act_core.db.day_models import DailySlots
from act_core.db.models import (
    AttemptColumns,
    Ce,
    CeJob,
    CeJobArchive,
    CeJobEvent,
    DailyCount,
    HourlySlots,
    JobCount,
    Run,
)
from act_core.db.panda_models import PandaCount
from act_core.db.policy_models import LedgerLine, OperatorMode, Orphan, Standing
from act_core.reasons import Topic
from act_core.states import CeState

WELL = (CeState.FINISHED.value, CeState.DONE.value)
BADLY = tuple(s.value for s in (CeState.FAILED, CeState.DONEFAILED, CeState.LOST, CeState.ABANDONED))
BY_DAY = "ix_daily_counts_day_ce_state_n"
_UNTIMED = (CeState.LOST.value, CeState.ABANDONED.value)  # ends that no CE told, and so without `ended_at`


@dataclass(frozen=True, slots=True)
class PandaCounted:
    server: str
    queue: str
    state: str
    told: str
    n: int
    cores: int
    oldest: datetime


def sums(session: Session, by: str) -> list[Count]:
    """Of all, by CE and state or by share and state."""
    t = JobCount
    group = {"ce": t.ce, "share": t.share}[by]
    question = select(group, t.state, func.sum(t.n), func.sum(t.cores), func.min(t.oldest)).group_by(group, t.state)
    return [
        Count("", name if by == "ce" else "", name if by == "share" else "", state, int(n), int(cores), oldest)
        for name, state, n, cores, oldest in session.execute(question)
    ]


def panda_counts(session: Session) -> list[PandaCounted]:
    t = PandaCount
    found = session.execute(select(t.server, t.queue, t.state, t.told, t.n, t.cores, t.oldest))
    return [PandaCounted(*row) for row in found]


def panda_sums(session: Session) -> list[PandaCounted]:
    """The same, whatever PanDA was told."""
    t = PandaCount
    question = select(t.server, t.queue, t.state, func.sum(t.n), func.sum(t.cores), func.min(t.oldest))
    found = session.execute(question.group_by(t.server, t.queue, t.state))
    return [
        PandaCounted(server, queue, state, "", int(n), int(cores), oldest)
        for server, queue, state, n, cores, oldest in found
    ]


Ended = tuple[str, str, int, int]  # day, CE or share, how many ended well, and badly


def days(session: Session, first: str, by: str = "ce", ce: str | None = None, share: str | None = None) -> list[Ended]:
    """Of attempts at rest, by the day on which they ended, since a day (2026-03-01)."""
    t = DailyCount
    group = {"ce": t.ce, "share": t.share}[by]
    well, badly = (func.sum(case((t.state.in_(states), t.n), else_=0)) for states in (WELL, BADLY))
    question = select(t.day, group, well, badly).where(t.day >= first)
    if ce is not None:
        question = question.where(t.ce == ce)
    elif by == "ce":  # in the order of the answer, and read alone: MariaDB would sort all rows
        question = question.with_hint(t, f"FORCE INDEX ({BY_DAY})", "mysql")
    if share is not None:
        question = question.where(t.share == share)
    return [(day, name, int(a), int(b)) for day, name, a, b in session.execute(question.group_by(t.day, group))]


def biggest_days(session: Session, first: str, hot: Sequence[Ended], biggest: int, others: str) -> list[Ended]:
    """Days of CEs, with what is not at rest yet (`hot`); CEs where fewer ended, well and badly, are one: `others`."""
    by_day = _by_day(first).subquery()  # sums of its few rows cost nothing
    day, ce, well, badly = by_day.c
    sums: dict[str, tuple[int, int]] = {}
    whole = session.execute(select(ce, func.sum(well), func.sum(badly)).group_by(ce)).tuples()
    for name, a, b in [*whole, *((name, a, b) for _, name, a, b in hot)]:
        before = sums.get(name, (0, 0))
        sums[name] = before[0] + int(a), before[1] + int(b)
    shown = {name for n in (0, 1) for name in sorted(sums, key=lambda name: (-sums[name][n], name))[:biggest]}
    whose = case((ce.in_(sorted(shown)), ce), else_=others).label("whose")
    rows = session.execute(select(day, whose, func.sum(well), func.sum(badly)).group_by(day, whose))
    rest = [(at, name, int(a), int(b)) for at, name, a, b in rows]
    return rest + [(at, name if name in shown else others, a, b) for at, name, a, b in hot]


def _by_day(first: str) -> Select[tuple[str, str, int, int]]:
    """In the order of its answer, and read of an index alone: MariaDB would sort all rows."""
    t = DailyCount
    well, badly = (func.sum(case((t.state.in_(states), t.n), else_=0)) for states in (WELL, BADLY))
    question = select(t.day, t.ce, well.label("well"), badly.label("badly")).where(t.day >= first)
    return question.group_by(t.day, t.ce).with_hint(t, f"FORCE INDEX ({BY_DAY})", "mysql")


def ended(
    session: Session, since: datetime, by: str = "ce", ce: str | None = None, share: str | None = None
) -> list[Ended]:
    """The same of attempts that are not at rest yet, which no day's count holds."""
    t = CeJob
    group = func.coalesce({"ce": t.ce, "share": t.share}[by], "")
    well, badly = (func.sum(case((t.state.in_(states), 1), else_=0)) for states in (WELL, BADLY))
    timed = (t.ended_at >= since,)
    untimed = (t.state.in_(_UNTIMED), t.ended_at.is_(None), t.state_since >= since)
    found: list[Ended] = []
    for at, where in ((t.ended_at, timed), (t.state_since, untimed)):
        question = select(func.date(at), group, well, badly).where(*where)
        if ce is not None:
            question = question.where(t.ce == ce)
        if share is not None:
            question = question.where(t.share == share)
        rows = session.execute(question.group_by(func.date(at), group))
        found += [(str(day), name, int(a), int(b)) for day, name, a, b in rows]
    return found


def ended_since(session: Session, since: datetime) -> int:
    """How many attempts ended, rows at rest included."""
    hot = select(func.count()).where(CeJob.ended_at >= since)
    rest = select(func.count()).where(CeJobArchive.modified >= since, CeJobArchive.ended_at >= since)
    return session.execute(hot).scalar_one() + session.execute(rest).scalar_one()


@dataclass(frozen=True, slots=True)
class Slots:
    """What a CE held in an hour or on a day: sums over the samples."""

    time: str
    ce: str
    samples: int
    queued: int
    running: int
    slots: int


def slots_by_hour(session: Session, first: str, ce: str) -> list[Slots]:
    """What a CE held."""
    t = HourlySlots
    question = select(t.hour, t.ce, t.samples, t.queued, t.running, t.slots).where(t.hour >= first, t.ce == ce)
    return [Slots(*row) for row in session.execute(question)]


def slots_by_day(session: Session, first: str, ce: str) -> list[Slots]:
    t = DailySlots
    question = select(t.day, t.ce, t.samples, t.queued, t.running, t.slots).where(t.day >= first, t.ce == ce)
    return [Slots(*row) for row in session.execute(question)]


def biggest_by_hour(session: Session, first: str, biggest: int) -> list[Slots]:
    """The CEs that held most, each for itself, and all others as one without a name; `samples` of the most seen one."""
    return _biggest(session, HourlySlots, HourlySlots.hour, first, biggest)


def biggest_by_day(session: Session, first: str, biggest: int) -> list[Slots]:
    return _biggest(session, DailySlots, DailySlots.day, first, biggest)


def _biggest(session: Session, table: Any, time: Any, first: str, biggest: int) -> list[Slots]:
    held = func.sum(table.slots)
    most = select(table.ce).where(time >= first).group_by(table.ce).order_by(held.desc(), table.ce).limit(biggest)
    name = case((table.ce.in_(session.scalars(most).all()), table.ce), else_="").label("name")
    columns = (func.max(table.samples), func.sum(table.queued), func.sum(table.running), held)
    found = session.execute(select(time, name, *columns).where(time >= first).group_by(time, name))
    return [Slots(at, ce, *(int(value) for value in values)) for at, ce, *values in found]


def standing(session: Session, topics: Collection[Topic], ce: str | None = None) -> list[Standing]:
    """The reasons of these topics that hold, the oldest first."""
    question = select(Standing).where(Standing.topic.in_(sorted(topics)))
    if ce is not None:
        question = question.where(Standing.ce == ce)
    return list(session.scalars(question.order_by(Standing.since, Standing.topic, Standing.ce)))


def lines_of(session: Session, topics: Collection[Topic], since: datetime, ce: str | None = None) -> list[LedgerLine]:
    """What the ledger says of CEs under these topics, in order."""
    question = select(LedgerLine).where(LedgerLine.topic.in_(sorted(topics)), LedgerLine.at >= since)
    if ce is not None:
        question = question.where(LedgerLine.ce == ce)
    return list(session.scalars(question.order_by(LedgerLine.id)))


def latest_lines(session: Session, limit: int, ce: str | None = None) -> list[LedgerLine]:
    """The newest first."""
    question = select(LedgerLine).order_by(LedgerLine.id.desc()).limit(limit)
    return list(session.scalars(question.where(LedgerLine.ce == ce) if ce is not None else question))


def modes(session: Session) -> list[OperatorMode]:
    return list(session.scalars(select(OperatorMode).order_by(OperatorMode.kind, OperatorMode.name)))


def all_ces(session: Session) -> list[Ce]:
    return list(session.scalars(select(Ce).order_by(Ce.name)))


def orphans(session: Session, ce: str, limit: int) -> tuple[list[Orphan], int]:
    """Some of a CE's, the newest first; and how many there are."""
    n = session.execute(select(func.count()).select_from(Orphan).where(Orphan.ce == ce)).scalar_one()
    question = select(Orphan).where(Orphan.ce == ce).order_by(Orphan.first_seen.desc()).limit(limit)
    return list(session.scalars(question)), n


def ce_names(session: Session) -> list[str]:
    return list(session.scalars(select(Ce.name).order_by(Ce.name)))


def attempts(session: Session, ids: Collection[int]) -> dict[int, tuple[AttemptColumns, bool]]:
    """Rows by id, and whether they are at rest."""
    wanted = sorted(ids)
    found: dict[int, tuple[AttemptColumns, bool]] = {}
    for some in chunks(wanted):
        at_rest = session.scalars(select(CeJobArchive).where(CeJobArchive.id.in_(some)))
        hot = session.scalars(select(CeJob).where(CeJob.id.in_(some)))
        found |= {row.id: (row, True) for row in at_rest} | {row.id: (row, False) for row in hot}
    return found


def lately_moved(session: Session, ce: str, limit: int) -> Sequence[CeJob]:
    """Attempts at a CE whose state is the newest."""
    question = select(CeJob).where(CeJob.ce == ce).order_by(CeJob.state_since.desc()).limit(limit)
    return session.scalars(question).all()


def events(session: Session, job_ids: Collection[int], newest: int) -> list[CeJobEvent]:
    """The newest events of these attempts, in order."""
    question = select(CeJobEvent).where(CeJobEvent.job_id.in_(sorted(job_ids)))
    return list(session.scalars(question.order_by(CeJobEvent.id.desc()).limit(newest)))[::-1]


def last_run(session: Session) -> datetime | None:
    """When the last run of a stage began."""
    return session.execute(select(func.max(Run.at))).scalar()
