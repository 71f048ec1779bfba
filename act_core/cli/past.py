"""`--at TIME` of `act status` and `act explain`: the tower, a CE or a job as it was."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.job_words import meant
from act_core.cli.out import out, plain, print_json, table
from act_core.db import ces as ce_rows
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.monitor import past
from act_core.monitor.moments import past as moment_of
from act_core.monitor.past import CeAt, Counts, Happened, JobThen, WhyThen
from act_core.monitor.times import at, moment, some, span
from act_core.reasons import Topic
from act_core.settings import Settings
from act_core.states import CeState

At = Annotated[
    str,
    typer.Option(
        "--at", help="as it was then: 2026-03-01T12:00 (UTC), 09:30, `yesterday 14:00`, `2h ago`", metavar="TIME"
    ),
]
_RED = Topic.BRAKE, Topic.PANDA
_YELLOW = Topic.CREDENTIAL, Topic.BLACKHOLE
_MOST = 3  # reasons of one CE in the table


def status_at(text: str, json: bool) -> None:
    """What ran where at that moment, and what rested."""
    held, present = settings(), now()
    when = moment_of(text, present)
    with database(held) as db:
        _check(db, when, present)
        counts = db.read(past.counts_at, when, known_ces(db))
    if json:
        print_json(asdict(counts))
        return
    out.print(f"the tower at {_whole(when, present)}", highlight=False)
    _print_told(counts.reasons)
    _print_ces(counts)
    out.print(f"{some(counts.waiting)} waited for a CE", highlight=False)


def explain_at(subject: str, text: str, json: bool) -> None:
    """A CE or a job at that moment. Raises BadInput for what is neither, or was not there yet."""
    held, present = settings(), now()
    when = moment_of(text, present)
    with database(held) as db:
        _check(db, when, present)
        found = _of(db, held, subject, when)
    if json:
        print_json(asdict(found))
        return
    lines = _job_lines(found, present) if isinstance(found, JobThen) else _ce_lines(found, present)
    for line in lines:
        out.print(plain(line), markup=False)


def known_ces(db: Database) -> list[str]:
    return [row.name for row in db.read(ce_rows.all_ces)]


def _check(db: Database, when: datetime, present: datetime) -> None:
    past.check(db.read(past.span, present), when)


def _of(db: Database, held: Settings, subject: str, when: datetime) -> JobThen | CeAt:
    if subject in known_ces(db):
        return db.read(past.ce_at, subject, when)
    found = db.read(past.job_at, meant(db, held, subject), when)
    if found is None:
        raise BadInput(f"no CE and no job {subject!r} at {at(when)}: `act explain {subject}` tells of the present")
    return found


def _whole(when: datetime, present: datetime) -> str:
    return f"{at(when)} ({span(present - when)} ago)"


def _print_told(reasons: Iterable[WhyThen]) -> None:
    """The red ones first."""
    for topics, style in ((_RED, "red"), (_YELLOW, "yellow")):
        for one in reasons:
            if one.topic in topics:
                out.print(plain(one.why), style=style, markup=False)


def _print_ces(counts: Counts) -> None:
    states = [state.value for state in CeState if any(state.value in ce.jobs for ce in counts.ces)]
    lines = []
    for ce in counts.ces:
        told = [one.why for one in counts.reasons if one.ce == ce.name and one.topic not in (*_RED, *_YELLOW)]
        more = [f"… and {len(told) - _MOST} more"] if len(told) > _MOST else []
        words = " ".join([*([ce.why] if ce.why else []), *told[:_MOST], *more])
        numbers = [str(ce.jobs.get(state, "")) for state in states]
        lines.append((ce.name, ce.mode, *numbers, _listed(ce.ended, ""), words))
    if lines:
        table(("CE", "mode", *states, "ended in 10 min", "why"), lines)


def _listed(counts: Mapping[str, int], none: str = "none") -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items()) or none


def _ce_lines(found: CeAt, present: datetime) -> Iterator[str]:
    ce = found.ce
    yield f"CE {ce.name} at {_whole(found.at, present)}: mode {ce.mode}"
    yield "\nwhat was known"
    yield from (f"  {words}" for words in [ce.why] if words)
    yield from (f"  Since {moment(one.since, found.at)}: {one.why}" for one in found.reasons)
    yield f"  It had {_listed(ce.jobs)}; in the ten minutes before, there ended: {_listed(ce.ended)}."
    if not found.reasons and not ce.why:
        yield "  Nothing is written that kept jobs from it."
    yield "\nwhat happened next"
    if found.next is None:
        yield "  Nothing has been decided about it since."
    else:
        yield f"  {_later(found.next.since, found.at)}: {found.next.why}"


def _job_lines(found: JobThen, present: datetime) -> Iterator[str]:
    place = f" at {found.ce}" if found.ce else ""
    yield f"job {found.job} ({found.app}) at {_whole(found.at, present)}: attempt {found.attempt}, {found.state}{place}"
    yield "\nwhat was known"
    how = (
        f"{found.by.reason} (by {found.by.actor})" if found.by else "It waited for a CE: no call had been made for it."
    )
    yield f"  {how}"
    yield from (f"  Since {moment(one.since, found.at)}: {one.why}" for one in found.reasons)
    for one in found.earlier:
        yield f"  Attempt {one.attempt} had ended as {one.to_state} at {one.ce or 'no CE'}: {one.reason}"
    yield f"\nsince\n  {moment(found.since, found.at)}"
    yield "\nwhat happened next"
    if found.next is None:
        yield "  Nothing has happened to it since."
        return
    yield f"  {_step(found.next, found)}"
    if found.ended and found.ended != found.next:
        yield f"  Its end: {_step(found.ended, found)}"


def _step(one: Happened, found: JobThen) -> str:
    attempt = f"attempt {one.attempt}: " if one.attempt != found.attempt else ""
    move = one.to_state if one.from_state == one.to_state else f"{one.from_state} → {one.to_state}"
    return f"{_later(one.at, found.at)}: {attempt}{move}{' at ' + one.ce if one.ce else ''}, {one.reason} ({one.actor})"


def _later(time: datetime, then: datetime) -> str:
    return f"{at(time)}, {span(time - then)} later"
