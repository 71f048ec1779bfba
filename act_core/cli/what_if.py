"""`act what-if`: a day of a CE, replayed with other settings."""

from dataclasses import asdict
from typing import Annotated

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.out import out, print_json, table
from act_core.db import ces as ce_rows
from act_core.monitor import past
from act_core.monitor.moments import day as day_of
from act_core.monitor.times import at
from act_core.monitor.what_if import WhatIf, read_day, rows, what_if

_NAMES = {
    "mean_queue": "jobs queued, mean",
    "max_queue": "jobs queued, at most",
    "mean_running": "slots in use, mean",
    "idle_slot_hours": "idle slot-hours while jobs waited",
    "mean_wait_s": "wait until the start, mean",
    "median_wait_s": "wait, median",
    "longest_waits_s": "wait, 95 % less than",
    "sent": "jobs sent",
    "sent_a_minute": "jobs sent a minute",
    "started": "jobs started",
    "ended": "jobs ended",
}


def command(
    ce: Annotated[str, typer.Option("--ce", help="the CE", metavar="NAME")],
    changes: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="a, b, maxjobs, batch, rate, unit, stalled, capacityage, shares.NAME; may be repeated",
            metavar="KEY=VALUE",
        ),
    ],
    day: Annotated[str, typer.Option("--day", help="2026-03-01 (UTC), or `yesterday`", metavar="DAY")] = "yesterday",
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Replay a day of a CE with other limits: what its queue, its idle slots and the waits would have been.

    The same rules choose the jobs, over the arrivals, run times and slots that there were. Nothing is changed.
    """
    held, present = settings(), now()
    begin = day_of(day, present)
    with database(held) as db:
        db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, present)
        known = db.read(read_day, held, ce, begin, db.read(past.span, present))
    found = what_if(known, changes)
    if json:
        print_json(asdict(found))
        return
    _print(found, changes)


def _print(found: WhatIf, changes: list[str]) -> None:
    out.print(f"{found.ce} from {at(found.begin)} to {at(found.end)}, with {', '.join(changes)}", markup=False)
    lines = []
    for name, *numbers in rows(found):
        really, control, changed = numbers
        difference = None if control is None or changed is None else changed - control
        shown = [_shown(name, one) for one in (really, control, changed)]
        lines.append((_NAMES[name], *shown, _shown(name, difference, sign=True)))
    table(("", "really", "control", "what-if", "difference"), lines)
    for words in (found.trust, *found.assumptions):
        out.print(words, highlight=False, markup=False)


def _shown(name: str, value: float | None, *, sign: bool = False) -> str:
    """Times in minutes; a difference with its sign."""
    if value is None:
        return "-"
    plus = "+" if sign and value > 0 else ""
    if name.endswith("_s"):
        return f"{plus}{value / 60:.1f} min"
    return f"{plus}{value:.2f}" if isinstance(value, float) else f"{plus}{value}"
