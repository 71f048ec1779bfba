"""PanDA queues: the list, and all of one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from act_core.db import counting, pages, panda_pages
from act_core.db.counting import Count
from act_core.db.pages import PandaCounted
from act_core.db.panda_pages import QueueRow
from act_core.monitor.views import charts, lines
from act_core.monitor.views.figures import Cell, Chart, Counted, EndedChart, JobLine, ModeNow, StateRow, Told
from act_core.monitor.views.health import operator_modes
from act_core.settings.model import Settings
from act_core.states import CeState, PandaState

DECISIONS, JOBS = 30, 20


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A PanDA queue in the list. `why`: it is not served; `states`: PanDA jobs by our state of them."""

    server: str
    name: str
    served: bool
    why: str
    status: str
    handed: bool  # a Harvester takes its jobs
    type: str
    truepilot: bool
    sites: tuple[str, ...]
    ces: tuple[str, ...]
    maxjobs: int
    states: Mapping[str, Cell]
    told: Mapping[str, int]  # PanDA's word → jobs
    n: int
    waiting: int  # attempts that wait for a CE
    running: int  # attempts
    slots: int
    oldest_waiting: datetime | None
    completed_today: int
    failed_today: int
    trouble: str
    asked_again_at: datetime | None
    seen_at: datetime
    mode: ModeNow | None


@dataclass(frozen=True, slots=True)
class QueueList:
    now: datetime
    counted: Counted
    states: tuple[str, ...]
    queues: tuple[QueueLine, ...]


@dataclass(frozen=True, slots=True)
class QueuePage:
    now: datetime
    counted: Counted
    queue: QueueLine
    at_ces: tuple[StateRow, ...]  # attempts of its share
    ended: EndedChart
    slots_now: Chart  # of its running attempts, by CE; one point
    standing: tuple[Told, ...]  # reasons that hold now
    decisions: tuple[Told, ...]
    jobs: tuple[JobLine, ...]  # the newest attempts


def queues(session: Session, settings: Settings, now: datetime, served_only: bool = False) -> QueueList:
    """All that CRIC names, by server and name."""
    rows = panda_pages.queues(session, served_only)
    read = _read(session, now)
    found = tuple(_line(row, read, now) for row in rows)
    shown = tuple(state.value for state in PandaState if any(state.value in one.states for one in found))
    return QueueList(now, lines.counted(session, now), shown, found)


@dataclass(frozen=True, slots=True)
class _Read:
    """What lines are made of, by (server, queue) and by share."""

    panda: Mapping[tuple[str, str], Sequence[PandaCounted]]
    shares: Mapping[str, Sequence[Count]]
    completed: Mapping[str, int]
    failed: Mapping[str, int]
    modes: Sequence[ModeNow]


def _read(session: Session, now: datetime, share: str | None = None) -> _Read:
    panda: dict[tuple[str, str], list[PandaCounted]] = {}
    for one in pages.panda_counts(session):
        panda.setdefault((one.server, one.queue), []).append(one)
    shares: dict[str, list[Count]] = {}
    for count in pages.sums(session, "share") if share is None else counting.counts(session, share=share):
        shares.setdefault(count.share, []).append(count)
    today = charts.midnight(now)
    ended = pages.days(session, f"{today:%Y-%m-%d}", "share", share=share)
    well, badly = charts.of_today([*ended, *pages.ended(session, today, "share", share=share)], f"{today:%Y-%m-%d}")
    return _Read(panda, shares, well, badly, operator_modes(session, now))


def _line(row: QueueRow, read: _Read, now: datetime) -> QueueLine:
    jobs, attempts = read.panda.get((row.server, row.name), ()), read.shares.get(row.name, ())
    told: dict[str, int] = {}
    for one in jobs:
        told[one.told] = told.get(one.told, 0) + one.n
    states = lines.cells(attempts)
    waits, (running, slots) = states.get(CeState.TOSUBMIT.value), lines.running(states)
    return QueueLine(
        server=row.server,
        name=row.name,
        served=row.served,
        why=row.why or "",
        status=row.status,
        handed=bool(row.parsed.get("handed")),
        type=str(row.parsed.get("type") or ""),
        truepilot=bool(row.parsed.get("truepilot")),
        sites=_words(row.parsed.get("sites")),
        ces=_words(one.get("name") for one in _objects(row.parsed.get("endpoints"))),
        maxjobs=_whole(row.parsed.get("maxjobs")),
        states=lines.cells(jobs),
        told=told,
        n=sum(one.n for one in jobs),
        waiting=waits.n if waits else 0,
        running=running,
        slots=slots,
        oldest_waiting=waits.oldest if waits else None,
        completed_today=read.completed.get(row.name, 0),
        failed_today=read.failed.get(row.name, 0),
        trouble=row.trouble or "",
        asked_again_at=row.fetch_due_at,
        seen_at=row.seen_at,
        mode=_mode(row, read.modes),
    )


def _mode(row: QueueRow, modes: Iterable[ModeNow]) -> ModeNow | None:
    """Its own, or that of its share."""
    mine = [one for one in modes if one.name == row.name and one.server in ("", row.server)]
    return next((one for kind in ("queue", "share") for one in mine if one.kind == kind), None)


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value if one) if isinstance(value, Iterable) and not isinstance(value, str) else ()


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def queue(
    session: Session, settings: Settings, name: str, now: datetime, server: str | None = None
) -> QueuePage | None:
    """None: there is no such queue. `server`: where several PanDA servers have one of this name."""
    row = panda_pages.queue(session, name, server)
    if row is None:
        return None
    read, first = _read(session, now, name), charts.days(now)
    counts = read.shares.get(name, ())
    since = charts.midnight(now, charts.DAYS - 1)
    ended = [*pages.days(session, first[0], share=name), *pages.ended(session, since, share=name)]
    at_ces = lines.state_rows(counts)
    point = f"{now:%Y-%m-%dT%H}"
    return QueuePage(
        now=now,
        counted=lines.counted(session, now),
        queue=_line(row, read, now),
        at_ces=at_ces,
        ended=charts.ended(first, ended),
        slots_now=charts.stacked([point], {(point, one.ce): one.slots for one in at_ces}, "slots"),
        standing=lines.told_lines(session, panda_pages.standing_of(session, name), now),
        decisions=lines.told_lines(session, panda_pages.lines_of(session, name, DECISIONS), now),
        jobs=tuple(lines.job_line(one) for one in panda_pages.newest_of(session, name, JOBS)),
    )
