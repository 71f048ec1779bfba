"""`act brake list|release`: mass actions that were stopped, and an operator's word on them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import database, now, settings
from act_core.cli.out import fail, out, plain, print_json, table
from act_core.db import brakes, evidence
from act_core.db.policy_models import BrakeRow
from act_core.db.session import Database
from act_core.deeds import brakes as deeds
from act_core.errors import BadInput
from act_core.monitor.moments import length
from act_core.monitor.times import at

app = typer.Typer(help="Mass actions that were stopped: list them, let one happen.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
NEWEST = 50
WOULD = {
    "lose": "take {n} of {living} jobs of {whom} for lost",
    "void": "take {n} submissions to {whom} for void",
    "kill": "end {n} of {living} jobs of {whom}",
    "abandon": "give up {n} of {living} jobs of {whom}",
    "orphans": "kill {n} jobs on {whom} whose attempts are over",
}


def described(row: BrakeRow) -> dict[str, Any]:
    """A brake in words. `passed`: jobs that its release has let through."""
    words = {"n": row.n, "living": row.living, "whom": brakes.whom(row.scope)}
    return {
        "id": row.id,
        "on": row.released_at is None,
        "scope": row.scope,
        "kind": row.kind,
        "source": row.source,
        "n": row.n,
        "living": row.living,
        "limit": row.facts.get("limit"),
        "would": WOULD[row.kind].format(**words),
        "since": at(row.since),
        "seen_at": at(row.seen_at),
        "released_at": at(row.released_at),
        "released_by": row.released_by,
        "released_until": at(row.released_until),
        "reason": row.facts.get("reason"),
        "passed": row.passed,
    }


def holding(db: Database) -> list[dict[str, Any]]:
    """The brakes that are on."""
    return [described(row) for row in db.read(brakes.on)]


def sentence(one: dict[str, Any]) -> str:
    return f"brake {one['id']} is on since {one['since']}: {one['source']} would {one['would']}"


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="also those that are over")] = False,
    json: Json = False,
) -> None:
    """List the brakes that are on: what they hold, on whose word, since when."""
    with database(settings()) as db:
        rows = [described(row) for row in db.read(brakes.recently, NEWEST)] if every else holding(db)
    if json:
        print_json(rows)
    elif not rows:
        out.print("no brake is on" if not every else "no brake was ever on")
    else:
        table(("id", "holds", "on the word of", "since", "last said", "state"), [_line(row) for row in rows])


def _line(row: dict[str, Any]) -> Sequence[str]:
    state = "on" if row["on"] else f"off since {row['released_at']} by {row['released_by']}, {row['passed']} passed"
    return str(row["id"]), str(row["would"]), str(row["source"]), str(row["since"]), str(row["seen_at"]), state


@app.command()
def release(
    brake: Annotated[int, typer.Argument(metavar="ID", help="of `act brake list`")],
    so_long: Annotated[str, typer.Option("--for", help="the time within which it may happen")] = "30m",
    reason: Annotated[str, typer.Option("--reason", help="for people; it stands in `act brake list --all`")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="tell what would happen, and change nothing")] = False,
    json: Json = False,
) -> None:
    """Let what a brake holds happen, once. Exit 1: it is off already."""
    time = _time(so_long)
    with database(settings()) as db:
        row = db.read(deeds.brake_of, brake)
        if row.released_at is not None:
            fail(f"brake {brake} is off since {at(row.released_at)}, by {row.released_by}", 1)
        moving = db.read(evidence.would_move, row)
        if not dry_run:
            moving = db.write(deeds.release_brake, actor(), brake, reason, now(), time)
        said = _said(row, moving, now() + time, dry_run)
    if json:
        print_json(said)
        return
    verb = "would be let through" if dry_run else f"are let through until {said['until']}"
    out.print(f"{moving.n} jobs of {brakes.whom(row.scope)} {verb} ({row.kind})", highlight=False)
    if moving.examples:
        out.print(plain(f"among them: {', '.join(moving.examples)}"), markup=False)


def _said(row: BrakeRow, moving: evidence.Moving, until: datetime, dry_run: bool) -> dict[str, Any]:
    words = {"n": moving.n, "examples": list(moving.examples), "until": at(until), "released": not dry_run}
    return {"id": row.id, "scope": row.scope, "kind": row.kind} | words


def _time(text: str) -> timedelta:
    """Raises BadInput for what is no time, or longer than a day: a release is for one thing that was looked at."""
    found = length(text, "--for", "30m or 2h")
    if not timedelta(0) < found <= deeds.LONGEST:
        raise BadInput(f"--for {text!r}: at most a day")
    return found
