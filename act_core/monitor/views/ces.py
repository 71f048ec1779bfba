"""Computing elements: the list, and all of one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from act_core.ce.registry import kinds
from act_core.db import counting, credentials, pages, queries, rules, silence
from act_core.db.counting import Count
from act_core.db.downtimes import FOREVER
from act_core.db.models import Ce, CeJob
from act_core.db.policy_models import DowntimeRow, Orphan
from act_core.monitor.explain_ces import explain_ce
from act_core.monitor.explain_read import read_ce
from act_core.monitor.views import charts, lines
from act_core.monitor.views.figures import (
    Cell,
    Chart,
    Counted,
    CredentialNow,
    DownSpan,
    EndedChart,
    EventLine,
    Explained,
    JobLine,
    RuleFailures,
    Told,
)
from act_core.monitor.views.health import credential_now
from act_core.reasons import Topic
from act_core.settings.model import NO_LIMIT, Settings
from act_core.states import ON_CE, CeState

LINES = timedelta(hours=48)
EndedToday = tuple[Mapping[str, int], Mapping[str, int]]  # well and badly, by CE
DECISIONS, EVENTS, JOBS, ORPHANS = 30, 50, 20, 50


@dataclass(frozen=True, slots=True)
class CeLine:
    """A CE in the list. `health`: well, troubled, resting (the breaker is open), unseen or no back end."""

    name: str
    kind: str
    endpoint: str
    origin: str
    health: str
    mode: str
    mode_owner: str | None
    mode_reason: str | None
    mode_since: datetime | None
    mode_until: datetime | None
    maxjobs: int | None  # None: no limit
    failures: int
    rests_until: datetime | None
    trouble: str | None
    own_trouble: bool
    last_seen: datetime | None
    capacity: Mapping[str, Any]
    capacity_at: datetime | None
    states: Mapping[str, Cell]
    on_ce: int  # jobs that count against maxjobs
    queued: int
    running: int
    slots: int
    completed_today: int
    failed_today: int


@dataclass(frozen=True, slots=True)
class CeList:
    now: datetime
    counted: Counted
    states: tuple[str, ...]
    ces: tuple[CeLine, ...]


@dataclass(frozen=True, slots=True)
class ShareLine:
    share: str
    states: Mapping[str, Cell]
    n: int
    slots: int


@dataclass(frozen=True, slots=True)
class WaitingShare:
    """Jobs that wait and could go there (or to another of their CEs)."""

    share: str
    n: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class OrphanLine:
    remote_id: str
    submission_key: str
    known: bool  # its attempt is in the tables, and over
    first_seen: datetime
    last_seen: datetime
    killed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DowntimeLine:
    start: datetime
    end: datetime | None  # None: until somebody ends it
    mode: str
    reason: str
    origin: str


@dataclass(frozen=True, slots=True)
class CePage:
    now: datetime
    counted: Counted
    ce: CeLine
    explained: Explained
    shares: tuple[ShareLine, ...]
    waiting: tuple[WaitingShare, ...]
    slots_by_hour: Chart  # series: queued, running, slots
    slots_by_day: Chart
    ended: EndedChart
    rules: tuple[RuleFailures, ...]
    decisions: tuple[Told, ...]
    events: tuple[EventLine, ...]  # of those, the newest first
    jobs: tuple[JobLine, ...]  # the newest attempts there
    time_line_from: datetime
    time_line: tuple[DownSpan, ...]
    credential: CredentialNow | None
    delegations: Mapping[str, int]  # identities (subjects) of the jobs there → how many
    orphans: tuple[OrphanLine, ...]
    orphans_n: int
    downtimes: tuple[DowntimeLine, ...]


def ces(session: Session, settings: Settings, now: datetime) -> CeList:
    """All of them, by name."""
    by_ce: dict[str, list[Count]] = {}
    for one in pages.sums(session, "ce"):
        by_ce.setdefault(one.ce, []).append(one)
    today = charts.midnight(now)
    ended = [*pages.days(session, f"{today:%Y-%m-%d}"), *pages.ended(session, today)]
    back_ends = kinds()
    sums = charts.of_today(ended, f"{today:%Y-%m-%d}")
    found = tuple(_line(row, by_ce.get(row.name, ()), sums, back_ends, now) for row in pages.all_ces(session))
    shown = lines.in_order({state for one in found for state in one.states})
    return CeList(now, lines.counted(session, now), shown, found)


def _line(row: Ce, counts: Iterable[Count], ended: EndedToday, back_ends: Collection[str], now: datetime) -> CeLine:
    names = (
        "name", "kind", "endpoint", "origin", "mode", "mode_owner", "mode_reason", "mode_since", "mode_until",
        "failures", "trouble", "own_trouble", "last_seen", "capacity_at",
    )  # fmt: skip
    held: dict[str, Any] = {name: getattr(row, name) for name in names}
    states = lines.cells(counts)
    running, slots = lines.running(states)
    well, badly = ended
    return CeLine(
        **held,
        health=health(row, back_ends, now),
        maxjobs=row.maxjobs if row.maxjobs < NO_LIMIT else None,
        rests_until=row.retry_at if row.retry_at and row.retry_at > now else None,
        capacity=row.capacity or {},
        states=states,
        on_ce=sum(cell.n for state, cell in states.items() if state in ON_CE),
        queued=sum(cell.n for state, cell in states.items() if state in (CeState.SUBMITTED, CeState.HOLDING)),
        running=running,
        slots=slots,
        completed_today=well.get(row.name, 0),
        failed_today=badly.get(row.name, 0),
    )


def health(row: Ce, back_ends: Collection[str], now: datetime) -> str:
    if row.kind not in back_ends:
        return "no back end"
    if row.retry_at is not None and row.retry_at > now:
        return "resting"
    return "troubled" if row.failures else "well" if row.last_seen else "unseen"


def ce(session: Session, settings: Settings, name: str, now: datetime) -> CePage | None:
    """None: there is no such CE."""
    row = queries.ce_row(session, name)
    if row is None:
        return None
    first, hours, begin, back_ends = charts.days(now), charts.hours(now), now - LINES, kinds()
    counts = counting.counts(session, ce=name)
    ended = [
        *pages.days(session, first[0], ce=name),
        *pages.ended(session, charts.midnight(now, charts.DAYS - 1), ce=name),
    ]
    look = read_ce(session, settings, name, back_ends, now)
    moved = pages.lately_moved(session, name, JOBS)
    orphans, orphans_n = pages.orphans(session, name, ORPHANS)
    told = pages.lines_of(session, lines.HELD_BACK, begin, name)
    spans = lines.time_lines(told, pages.standing(session, lines.HELD_BACK, name), begin, now)
    forecast = pages.standing(session, [Topic.CREDENTIAL], name)
    return CePage(
        now=now,
        counted=lines.counted(session, now),
        ce=_line(row, counts, charts.of_today(ended, first[-1]), back_ends, now),
        explained=lines.explained(explain_ce(look, now)),
        shares=tuple(ShareLine(*row) for row in lines.rows_by(counts, lambda one: one.share)),
        waiting=tuple(WaitingShare(one.share, one.n, one.oldest) for one in look.waiting),
        slots_by_hour=charts.of_one(hours, pages.slots_by_hour(session, hours[0], name)),
        slots_by_day=charts.means(first, pages.slots_by_day(session, first[0], name)),
        ended=charts.ended(first, ended),
        rules=lines.failures(session, [hit for hit in rules.hits(session) if hit.ce == name]),
        decisions=lines.told_lines(session, pages.latest_lines(session, DECISIONS, name), now),
        events=_events(session, moved),
        jobs=tuple(lines.job_line(one) for one in moved),
        time_line_from=begin,
        time_line=spans.get(name, ()),
        credential=credential_now(look.credential, forecast, now) if look.credential else None,
        delegations=_identities(session, name),
        orphans=tuple(_orphan(one) for one in orphans),
        orphans_n=orphans_n,
        downtimes=tuple(_downtime(one) for one in look.downtimes),
    )


def _events(session: Session, jobs: Sequence[CeJob]) -> tuple[EventLine, ...]:
    """The newest first."""
    held = {one.id: one for one in jobs}
    return lines.event_lines(session, pages.events(session, list(held), EVENTS), held)[::-1]


def _identities(session: Session, name: str) -> dict[str, int]:
    held = {one: sum(states.values()) for one, states in silence.by_identity(session, name).items()}
    whose = credentials.subjects(session, list(held))
    return {whose.get(one, f"identity {one}"): n for one, n in sorted(held.items())}


def _orphan(row: Orphan) -> OrphanLine:
    return OrphanLine(row.remote_id, row.submission_key, row.known, row.first_seen, row.last_seen, row.killed_at)


def _downtime(row: DowntimeRow) -> DowntimeLine:
    return DowntimeLine(row.start, row.end if row.end < FOREVER else None, row.mode, row.reason, row.origin)
