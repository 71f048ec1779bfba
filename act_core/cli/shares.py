"""`act shares`: what each share has waiting, queued and running, what holds it, and its mode."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import database, now, settings
from act_core.cli.mode_commands import add_modes, described, in_words, refuse
from act_core.cli.out import out, plain, print_json, table
from act_core.db import ledger, operator_modes
from act_core.db.modes import Mode
from act_core.db.operator_modes import Kind
from act_core.db.policy_models import Standing
from act_core.db.session import Database
from act_core.db.shares import Stand, by_share
from act_core.deeds.modes import Asked, known_shares, named, set_share_mode
from act_core.monitor.explain_ces import line_of
from act_core.monitor.times import at, brief
from act_core.reasons import Reason, Topic
from act_core.settings import Settings

app = typer.Typer(help="Shares: what waits, runs and holds them; stop one, let one go on.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
NUMBERS = ("waiting", "queued", "running", "cores", "ending")
SAYS = {
    Mode.ON: "Send jobs of these shares again.",
    Mode.REST: "Send no jobs of these shares for a while; what a CE has is cared for.",
    Mode.STOP: "Send no jobs of these shares to any CE; what a CE has is cared for.",
    Mode.DRAIN: "Let these shares run empty: none of their jobs is sent, and with the last one home they are stopped.",
}


def listed(db: Database, held: Settings, *, sentences: bool = False) -> list[dict[str, Any]]:
    """Every share that has jobs, a weight or a mode."""
    stands, counted = db.read(by_share, now())
    words = db.read(operator_modes.standing, now()).shares
    weights = held.arc.fill.shares
    why: defaultdict[str, list[Standing]] = defaultdict(list)
    for row in db.read(ledger.standing):
        if row.topic == Topic.SUBMIT and row.code != Reason.SHARE_MODE:
            why[row.share].append(row)
    every = sorted({*stands, *words, *weights})
    return [
        described(name, words.get(name))
        | {"weight": weights.get(name, 1.0)}
        | _numbers(stands.get(name, Stand()))
        | {"counted_at": at(counted), "held": _held(why.get(name, ()), sentences=sentences)}
        for name in every
    ]


def _numbers(stand: Stand) -> dict[str, Any]:
    return {name: getattr(stand, name) for name in NUMBERS} | {"oldest_waiting": at(stand.oldest)}


def _held(rows: Sequence[Standing], *, sentences: bool) -> list[dict[str, Any]]:
    """What keeps jobs of a share from being sent, by CE."""
    return [
        {"ce": row.ce, "reason": row.code, "since": at(row.since)}
        | ({"says": line_of(row, now()).why} if sentences else {})
        for row in rows
    ]


@app.command("list")
def list_(json: Json = False) -> None:
    """List shares: jobs that wait, are queued and run, with what holds them where."""
    held = settings()
    with database(held) as db:
        rows = listed(db, held)
    if json:
        print_json(rows)
    elif not rows:
        out.print("no share has jobs, a weight (fill.shares) or a mode")
    else:
        columns = ("share", "mode", "weight", "waiting", "oldest", "queued", "running", "cores", "ending", "held by")
        table(columns, [_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> list[str]:
    oldest = brief(row["oldest_waiting"], now()) if row["oldest_waiting"] else ""
    by = defaultdict[str, list[str]](list)
    for one in row["held"]:
        by[one["reason"]].append(one["ce"])
    why = "; ".join(f"{reason} at {', '.join(sorted(ces))}" for reason, ces in sorted(by.items()))
    stopped = f"{row['mode']} by {row['owner']}" if row["mode"] != Mode.ON else ""
    numbers = [str(row[name]) for name in NUMBERS]
    name = row["name"] or "(none)"
    return [
        name,
        row["mode"],
        f"{row['weight']:g}",
        numbers[0],
        oldest,
        *numbers[1:],
        "; ".join(filter(None, (stopped, why))),
    ]


@app.command()
def show(name: Annotated[str, typer.Argument(help="the share's name")], json: Json = False) -> None:
    """Show how a share stands, and in sentences what holds its jobs at each CE. Exit 2: nobody knows it."""
    held = settings()
    with database(held) as db:
        rows = {row["name"]: row for row in listed(db, held, sentences=True)}
        named([name], {*rows, *db.read(known_shares)}, "share")
        row = rows.get(name) or described(name, None) | {"weight": 1.0} | _numbers(Stand()) | {"held": []}
    if json:
        print_json(row)
        return
    out.print(plain(f"{name}: {in_words(row)}"), markup=False, highlight=False)
    for key in ("weight", *NUMBERS, "oldest_waiting"):
        if row[key] is not None:
            out.print(plain(f"  {key.replace('_', ' '):15} {row[key]}"), markup=False, highlight=False)
    for one in row["held"]:
        out.print(plain(f"  {one['says']}"), markup=False, highlight=False)


def _set(db: Database, held: Settings, names: list[str], asked: Asked, _server: str) -> list[dict[str, Any]]:
    known = [*held.arc.fill.shares]
    return [described(*one) for one in db.write(set_share_mode, actor(), names, asked, now(), known).items()]


add_modes(app, SAYS, "shares", _set)
refuse(app, Kind.SHARE, {"offline": Mode.OFFLINE, "abandon": Mode.ABANDONED})
