"""The first page: how the tower stands, what is wrong, and how the last days went."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import brakes, pages, rules
from act_core.db.counting import Count
from act_core.db.models import Ce
from act_core.db.pages import Ended, PandaCounted
from act_core.db.policy_models import BrakeRow, Standing
from act_core.monitor.sentences import told
from act_core.monitor.views import charts, health, lines
from act_core.monitor.views.alarms import ALARMING, Alarm, alarms
from act_core.monitor.views.figures import (
    OTHERS,
    Cell,
    Chart,
    Counted,
    CredentialNow,
    DownSpan,
    EndedChart,
    ModeNow,
    QueueStates,
    RuleFailures,
    StateRow,
    Told,
    Totals,
)
from act_core.monitor.views.health import TowerNow
from act_core.reasons import Topic
from act_core.settings.model import Settings
from act_core.states import CeState, PandaState

__all__ = ["Alarm", "BrakeOn", "CeTimeLine", "CredentialEnds", "Overview", "TowerNow", "overview"]


LINES = timedelta(hours=48)
DECISIONS = 30
SUMS: Mapping[str, tuple[CeState, ...]] = {
    "waiting": (CeState.TOSUBMIT, CeState.SUBMITTING),
    "queued": (CeState.SUBMITTED, CeState.HOLDING),
    "running": (CeState.RUNNING,),
    "finishing": (CeState.FINISHING,),
}


@dataclass(frozen=True, slots=True)
class BrakeOn:
    id: int
    scope: str
    kind: str
    source: str
    n: int
    living: int
    since: datetime
    seen_at: datetime
    why: str
    next: str
    do: str


@dataclass(frozen=True, slots=True)
class CeTimeLine:
    """When a CE was held back, within the hours that the page shows."""

    ce: str
    spans: tuple[DownSpan, ...]


@dataclass(frozen=True, slots=True)
class CredentialEnds:
    """Jobs of a CE that outlive a credential, in sentences; as of the last forecast (`since`)."""

    ce: str
    jobs: int
    until: str
    since: datetime
    why: str
    next: str
    do: str


@dataclass(frozen=True, slots=True)
class Overview:
    now: datetime
    counted: Counted
    tower: TowerNow
    alarms: tuple[Alarm, ...]  # red ones first
    totals: Totals
    states: tuple[str, ...]  # columns of `ces`, in the order of a job's life
    ces: tuple[StateRow, ...]
    queue_states: tuple[str, ...]
    queues: tuple[QueueStates, ...]
    slots_by_hour: Chart
    slots_by_day: Chart
    ended: EndedChart
    failures: tuple[RuleFailures, ...]
    time_lines_from: datetime
    time_lines: tuple[CeTimeLine, ...]
    credentials: tuple[CredentialNow, ...]
    credential_ends: tuple[CredentialEnds, ...]
    brakes: tuple[BrakeOn, ...]
    modes: tuple[ModeNow, ...]  # other than `on`, of CEs, queues, shares and the tower
    decisions: tuple[Told, ...]
    sums: Mapping[str, int]  # attempts by state


@dataclass(frozen=True, slots=True)
class Credentials:
    """What of the overview is about credentials."""

    credentials: tuple[CredentialNow, ...]
    credential_ends: tuple[CredentialEnds, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """What several parts of the page are made of."""

    counts: Sequence[Count]
    ended: Sequence[Ended]
    rows: Sequence[Ce]
    standing: Sequence[Standing]
    brakes: Sequence[BrakeRow]
    credentials: tuple[CredentialNow, ...]


def overview(session: Session, settings: Settings, now: datetime) -> Overview:
    """One read transaction; a constant number of statements."""
    begin, first = now - LINES, charts.days(now)
    read = _Read(
        pages.sums(session, "ce"),
        _ended(session, now, first[0]),
        pages.all_ces(session),
        pages.standing(session, ALARMING),
        brakes.on(session),
        health.credentials_now(session, now),
    )
    ces = lines.state_rows(read.counts)
    tower = health.tower(session, settings, now)
    counted = lines.counted(session, now)
    queues, hours = _queues(session), charts.hours(now)
    sums = lines.cells(read.counts)
    return Overview(
        now=now,
        counted=counted,
        tower=tower,
        alarms=alarms(tower, counted, read.rows, read.standing, read.brakes, read.credentials, now),
        totals=_totals(session, sums, read.ended, now),
        states=lines.in_order({state for row in ces for state in row.states}),
        ces=ces,
        queue_states=tuple(state for state in PandaState if any(state in row.states for row in queues)),
        queues=queues,
        slots_by_hour=charts.means(hours, pages.biggest_by_hour(session, hours[0], charts.BIGGEST)),
        slots_by_day=charts.means(first, pages.biggest_by_day(session, first[0], charts.BIGGEST)),
        ended=charts.ended(first, read.ended),
        failures=lines.failures(session, rules.hits(session)),
        time_lines_from=begin,
        time_lines=_time_lines(session, begin, now),
        credentials=read.credentials,
        credential_ends=tuple(_ends(one, now) for one in read.standing if one.topic == Topic.CREDENTIAL),
        brakes=tuple(_brake(one, now) for one in read.brakes),
        modes=health.modes(session, read.rows, now),
        decisions=lines.told_lines(session, pages.latest_lines(session, DECISIONS), now),
        sums={state: cell.n for state, cell in sums.items()},
    )


def credentials(session: Session, now: datetime) -> Credentials:
    ends = tuple(_ends(one, now) for one in pages.standing(session, (Topic.CREDENTIAL,)))
    return Credentials(health.credentials_now(session, now), ends)


def _ended(session: Session, now: datetime, first: str) -> list[Ended]:
    """By day: the CEs at which most ended, well or badly, each for itself, and all others as one."""
    hot = pages.ended(session, charts.midnight(now, charts.DAYS - 1))
    return pages.biggest_days(session, first, hot, charts.BIGGEST + 1, OTHERS)  # the others are never one alone


def _totals(session: Session, sums: Mapping[str, Cell], ended: Iterable[Ended], now: datetime) -> Totals:
    n = {state: cell.n for state, cell in sums.items()}
    shown = {name: sum(n.get(state, 0) for state in states) for name, states in SUMS.items()}
    well, badly = charts.of_today(ended, charts.days(now, 1)[0])
    return Totals(
        **shown,
        slots=lines.running(sums)[1],
        other=sum(n.values()) - sum(shown.values()),
        ended_today=sum(well.values()) + sum(badly.values()),
        failed_today=sum(badly.values()),
        rate=pages.ended_since(session, now - timedelta(hours=1)),
    )


def _queues(session: Session) -> tuple[QueueStates, ...]:
    by_queue: dict[tuple[str, str], list[PandaCounted]] = {}
    for one in pages.panda_sums(session):
        by_queue.setdefault((one.server, one.queue), []).append(one)
    return tuple(
        QueueStates(server, queue, lines.cells(found), sum(one.n for one in found))
        for (server, queue), found in sorted(by_queue.items())
    )


def _time_lines(session: Session, begin: datetime, now: datetime) -> tuple[CeTimeLine, ...]:
    standing = pages.standing(session, lines.HELD_BACK)
    spans = lines.time_lines(pages.lines_of(session, lines.HELD_BACK, begin), standing, begin, now)
    return tuple(CeTimeLine(ce, some) for ce, some in spans.items())


def _ends(one: Standing, now: datetime) -> CredentialEnds:
    tell = lines.told_line(one, now)
    return CredentialEnds(one.ce, one.n, str(one.facts.get("until", "")), one.since, tell.why, tell.next, tell.do)


def _brake(one: BrakeRow, now: datetime) -> BrakeOn:
    tell = told(f"brake-{one.kind}", brakes.line(one).facts, now)
    held = (one.id, one.scope, one.kind, one.source, one.n, one.living, one.since, one.seen_at)
    return BrakeOn(*held, tell.why, tell.next, tell.do)
