"""Rows of the tables as lines of a view."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from act_core.db import counting, pages, runs
from act_core.db.counting import Count
from act_core.db.models import AttemptColumns, Ce, CeJobEvent
from act_core.db.pages import PandaCounted
from act_core.db.policy_models import LedgerLine, OperatorMode, RuleHit, Standing
from act_core.monitor.explain import Answer
from act_core.monitor.sentences import told
from act_core.monitor.views.figures import (
    Cell,
    Counted,
    DownSpan,
    EventLine,
    Explained,
    JobLine,
    ModeNow,
    RuleFailures,
    StateRow,
    Told,
)
from act_core.reasons import Topic
from act_core.states import PUBLISHED, CeState, Request
from act_core.tells import Tell

HELD_BACK = (Topic.BREAKER, Topic.MODE, Topic.UNSEEN, Topic.BLACKHOLE)
STALE = timedelta(minutes=1)
MOST_CES = 5  # of a rule, that are named


def counted(session: Session, now: datetime) -> Counted:
    at = counting.counted_at(session)
    age = max(0.0, (now - at).total_seconds()) if at else None  # clocks of two machines differ a little
    return Counted(at, age, at is None or now - at > STALE)


def job_line(row: AttemptColumns, archived: bool = False) -> JobLine:
    names = (
        "id", "app", "app_job_id", "attempt", "ce", "share", "state", "native_state", "rule", "exit_code", "error",
        "submission_key", "remote_id", "batch_id", "node", "created", "ended_at",
    )  # fmt: skip
    wish = PUBLISHED[Request(row.request)] if row.request else None
    held: dict[str, Any] = {name: getattr(row, name) for name in names}
    return JobLine(**held, wish=wish, since=row.state_since, cores=row.cores or row.cores_asked, archived=archived)


def told_line(one: LedgerLine | Standing, now: datetime, job: AttemptColumns | None = None) -> Told:
    at = one.since if isinstance(one, Standing) else one.at
    name = job.app_job_id if job else ""
    words = Tell(f"What held {_whom(one, name)} back ({one.topic}) is over.", "", "")
    if one.code:
        facts = {"ce": one.ce, "share": one.share, "n": one.n, "job_id": one.job_id, "job": name or "ID"}
        words = told(one.code, facts | one.facts, now)
    subject = (at, one.topic, one.code, one.ce, one.share, one.job_id, one.n)
    return Told(*subject, words.why, words.next, words.do, app=job.app if job else "", job=name)


def _whom(one: LedgerLine | Standing, job: str) -> str:
    parts = (one.ce, f"share {one.share}" if one.share else "", f"job {job or one.job_id}" if one.job_id else "")
    return ", ".join(filter(None, parts)) or "the tower"


def told_lines(session: Session, found: Sequence[LedgerLine] | Sequence[Standing], now: datetime) -> tuple[Told, ...]:
    """With the names of the jobs that they are about."""
    jobs = pages.attempts(session, {one.job_id for one in found if one.job_id})
    known = {number: row for number, (row, _) in jobs.items()}
    return tuple(told_line(one, now, known.get(one.job_id)) for one in found)


def event_lines(
    session: Session, found: Sequence[CeJobEvent], jobs: Mapping[int, AttemptColumns]
) -> tuple[EventLine, ...]:
    known = runs.of(session, {one.run_id for one in found if one.run_id})
    return tuple(_event(one, known.get(one.run_id or 0), jobs.get(one.job_id)) for one in found)


def _event(one: CeJobEvent, run: Any, job: AttemptColumns | None) -> EventLine:
    names = ("at", "job_id", "attempt", "from_state", "to_state", "reason", "actor", "ce", "run_id")
    held: dict[str, Any] = {name: getattr(one, name) for name in names}
    return EventLine(
        **held,
        run=run.flow_run if run else None,
        stage=run.stage if run else None,
        app=job.app if job else "",
        job=job.app_job_id if job else "",
    )


def mode_of_ce(row: Ce) -> ModeNow:
    return ModeNow("ce", row.name, row.mode, row.mode_owner, row.mode_reason, row.mode_since, row.mode_until)


def mode_line(row: OperatorMode, now: datetime) -> ModeNow | None:
    """None: its time is over."""
    if row.until is not None and row.until <= now:
        return None
    return ModeNow(row.kind, row.name, row.mode, row.owner, row.reason or None, row.since, row.until, row.server)


def explained(answer: Answer) -> Explained:
    return Explained(answer.subject, answer.why, answer.since, answer.next, answer.do)


def cells(found: Iterable[Count | PandaCounted]) -> dict[str, Cell]:
    """By state, in the order of a job's life."""
    sums: dict[str, Cell] = {}
    for one in found:
        held = sums.get(one.state)
        sums[one.state] = (
            Cell(held.n + one.n, held.cores + one.cores, min(held.oldest, one.oldest))
            if held
            else Cell(one.n, one.cores, one.oldest)
        )
    return {state: sums[state] for state in in_order(sums)}


def running(states: Mapping[str, Cell]) -> tuple[int, int]:
    """How many run, and on how many cores."""
    cell = states.get(CeState.RUNNING.value)
    return (cell.n, cell.cores) if cell else (0, 0)


def rows_by(counts: Iterable[Count], of: Callable[[Count], str]) -> list[tuple[str, dict[str, Cell], int, int]]:
    """By what `of` says of them, in order: the cells, how many there are in all, and the slots that they hold."""
    parts: dict[str, list[Count]] = {}
    for one in counts:
        parts.setdefault(of(one), []).append(one)
    found = []
    for name in sorted(parts):
        states = cells(parts[name])
        found.append((name, states, sum(cell.n for cell in states.values()), running(states)[1]))
    return found


def state_rows(counts: Iterable[Count]) -> tuple[StateRow, ...]:
    """By CE; those that wait for one come first."""
    return tuple(StateRow(*row) for row in rows_by(counts, lambda one: one.ce))


_ORDER = {state.value: n for n, state in enumerate(CeState)}


def in_order(states: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(states, key=lambda state: (_ORDER.get(state, len(_ORDER)), state)))


def failures(session: Session, hits: Iterable[RuleHit]) -> tuple[RuleFailures, ...]:
    """By rule, the newest first."""
    by_rule: dict[str, list[RuleHit]] = {}
    for hit in hits:
        by_rule.setdefault(hit.rule, []).append(hit)
    newest = {rule: max(some, key=lambda hit: hit.last_at) for rule, some in by_rule.items()}
    jobs = pages.attempts(session, {hit.last_job for hit in newest.values()})
    found = []
    for rule, some in by_rule.items():
        last = newest[rule]
        most = sorted(some, key=lambda hit: (-hit.n, hit.ce))[:MOST_CES]
        example = job_line(*jobs[last.last_job]) if last.last_job in jobs else None
        found.append(
            RuleFailures(
                rule, sum(hit.n for hit in some), last.last_at, tuple((hit.ce, hit.n) for hit in most), example
            )
        )
    return tuple(sorted(found, key=lambda one: (one.last_at, one.rule), reverse=True))


def time_lines(
    lines: Iterable[LedgerLine], standing: Iterable[Standing], begin: datetime, now: datetime
) -> dict[str, tuple[DownSpan, ...]]:
    """When CEs were held back, by CE. A line that ends what began before `begin` says no more why that was."""
    spans: dict[str, list[DownSpan]] = {}
    under_way: dict[tuple[str, str, str], LedgerLine] = {}
    heard: set[tuple[str, str, str]] = set()
    for line in lines:
        key = (line.topic, line.ce, line.share)
        before = under_way.pop(key, None)
        if before is not None:
            _add(spans, before, before.at, line.at, now)
        elif not line.code and key not in heard:
            spans.setdefault(line.ce, []).append(DownSpan(line.topic, "", begin, line.at, ""))
        heard.add(key)
        if line.code:
            under_way[key] = line
    for before in under_way.values():
        _add(spans, before, before.at, None, now)
    for one in standing:
        if one.ce and (one.topic, one.ce, one.share) not in heard:
            _add(spans, one, max(begin, one.since), None, now)
    return {ce: tuple(sorted(spans[ce], key=lambda span: (span.since, span.kind))) for ce in sorted(spans) if ce}


def _add(
    spans: dict[str, list[DownSpan]],
    line: LedgerLine | Standing,
    since: datetime,
    until: datetime | None,
    now: datetime,
) -> None:
    if until != since:
        facts = {"ce": line.ce, "share": line.share, "n": line.n, **line.facts}
        spans.setdefault(line.ce, []).append(
            DownSpan(line.topic, line.code, since, until, told(line.code, facts, now).why)
        )
