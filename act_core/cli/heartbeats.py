"""`act heartbeats`: jobs of which PanDA has not heard for too long; and the normal sender, set to work on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import typer

from act_core.atlas import heartbeat, late
from act_core.atlas.app import APP
from act_core.atlas.books import NAME
from act_core.atlas.instance import server_key
from act_core.atlas.late import Late
from act_core.cli.context import database, now, settings
from act_core.cli.out import out, print_json, table, warn
from act_core.cli.sweep import in_words, observing_too
from act_core.db import counting
from act_core.db.session import Database
from act_core.errors import ActError, BadInput
from act_core.monitor.times import span
from act_core.processes import standing
from act_core.runtime import Counts, Runtime
from act_core.settings import Settings
from act_core.stages import Tower

COLUMNS = ("PandaID", "queue", "state", "PanDA has", "silent for", "PanDA's last answer", "told now", "because")
SHOWN = 50  # rows for people
WAIT_S = 30.0  # for the sender's lease
(SENDER,) = (part for part in APP.parts if part.run is heartbeat.heartbeat)
Found = list[tuple[Settings, list[Late]]]  # by instance


def heartbeats(
    seconds: Annotated[
        int | None,
        typer.Option("--late", min=1, help="seconds without a report that PanDA took; default: 1.5 heartbeattime"),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="have those told of which the tower knows")] = False,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List PanDA jobs of which PanDA has taken no report for too long. Exit 1: there are some.

    With --send the normal sender tells PanDA of them, and heeds what PanDA orders; but of no job whose CE has not been
    heard of lately: nobody knows whether such a job goes on.
    """
    watch(seconds, send=send, json=json)


def watch(seconds: int | None, *, send: bool, json: bool) -> None:
    held = observing_too(settings(quiet=True))
    if NAME not in held.app.modules.app:
        raise BadInput(f"{held.where('modules.app')}: this tower serves no PanDA: modules.app does not name {NAME}")
    with database(held) as db:
        found = [(one, db.read(late.late, one, _allowed(one, seconds), now())) for one in held.everybody()]
        done, trouble = _sent(db, held, found) if send else ("", "")
    rows = [_described(one, row, send and not trouble) for one, late_rows in found for row in late_rows]
    if json:
        print_json({"late": rows, "done": done or None, "trouble": trouble or None})
    elif rows:
        _print(rows, done)
    elif out.is_terminal:  # a cron job hears nothing
        out.print("PanDA has heard of all jobs in time")
    if trouble:
        warn(trouble)
    if rows:
        raise typer.Exit(1)


def _print(rows: Sequence[dict[str, Any]], done: str) -> None:
    """Those that are silent the longest, and how many there are."""
    shown = sorted(rows, key=lambda row: -int(row["silent_s"]))[:SHOWN]
    table(COLUMNS, map(_line, shown))
    if len(rows) > SHOWN:
        out.print(f"{SHOWN} of {len(rows)}; `--json` has all", markup=False)
    known = sum(row["known"] for row in rows)
    out.print(f"{len(rows)} late: the tower knows how {known} are, and not of {len(rows) - known}", markup=False)
    out.print(done or "`act heartbeats --send` has PanDA told of those that it knows", markup=False)


def _allowed(held: Settings, seconds: int | None) -> timedelta:
    return timedelta(seconds=seconds) if seconds is not None else late.longest(held)


def _described(held: Settings, one: Late, sent: bool) -> dict[str, Any]:
    row = one.row
    refused = f"refused {row.refused} times: {row.error or 'no words'}" if row.refused else row.error or ""
    return {
        "panda_id": row.panda_id,
        "attempt_nr": row.attempt_nr,
        "server": server_key(held),
        "queue": row.queue,
        "state": row.state.value,
        "told": row.told,
        "told_at": row.told_at,
        "silent_s": round((now() - one.since).total_seconds()),
        "answer": refused,
        "known": one.speaks,
        "sent": one.speaks and sent,
        "because": one.why,
    }


def _line(row: dict[str, Any]) -> list[str]:
    silent = span(timedelta(seconds=row["silent_s"]))
    told = "yes" if row["sent"] else "could be" if row["known"] else "NO"
    words = [str(row[key] or "") for key in ("panda_id", "queue", "state", "told")]
    return [*words, silent, row["answer"][:80], told, row["because"]]


def _sent(db: Database, held: Settings, found: Found) -> tuple[str, str]:
    """Have PanDA told: by the tower that is up, or here. What was done in words, and what went wrong."""
    if held.arc.tower.observe:
        return "", "OBSERVING: nothing is reported"
    n = sum(db.write(late.make_due, rows, now()) for _, rows in found if rows)
    if not n:
        return "", ""
    if _sender_is_up(db, held):
        return f"{n} are due now: the tower that is up tells PanDA within seconds", ""
    try:
        counts = asyncio.run(_send_here(held, found))
    except ActError as err:
        return "", f"PanDA was not told: {err}"
    return f"no tower is up, so they were told here: {in_words(counts)}", ""


def _sender_is_up(db: Database, held: Settings) -> bool:
    """A tower that stands here and does its work: one that hangs does not count jobs either."""
    return standing(held.state_dir) is not None and counting.fresh(db.read(counting.counted_at), now())


async def _send_here(held: Settings, found: Found) -> Counts:
    """The sender's own rounds, under its lease, for these jobs alone: others may be at CEs that nobody has asked."""
    counts = Counts()
    async with Tower(Runtime.open(held)) as tower:
        tower.rt.lasting = False
        for one, rows in found:
            rt = tower.rt.seen_by(one.instance) if one.instance else tower.rt
            key = server_key(one) + (f"@{one.instance}" if one.instance else "")
            counts += await _rounds(tower, rt, key, server_key(one), late.portions(rows))
    return counts


async def _rounds(tower: Tower, rt: Runtime, key: str, server: str, portions: Sequence[Sequence[int]]) -> Counts:
    async def told(_rt: Runtime, _key: str, only: Sequence[int]) -> Counts:
        return await heartbeat.heartbeat(rt, server, only)

    counts = Counts()
    for ids in portions:
        counts += await tower.round(replace(SENDER, run=partial(told, only=ids)), key, WAIT_S)
    return counts
