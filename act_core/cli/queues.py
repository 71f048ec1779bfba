"""`act queues`: the PanDA queues, who serves them, and what could be taken."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from act_core.atlas import queue_list, refresh
from act_core.atlas.cric import Parsed, parse_queues
from act_core.atlas.cric_feed import last_good_copy, queues_of
from act_core.atlas.instance import server_key
from act_core.cli import queue_modes
from act_core.cli.context import database, now, settings
from act_core.cli.mode_commands import described
from act_core.cli.out import fail, out, plain, print_json, table
from act_core.cli.panda import summary
from act_core.db import operator_modes
from act_core.db.modes import Mode
from act_core.db.operator_modes import Words
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.monitor.times import at, brief
from act_core.settings import Settings

app = typer.Typer(help="PanDA queues: list and show them, stop one, let one go on.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
COLUMNS = ("queue", "status", "mode", "type", "jobs", "waiting", "room", "asks", "CEs", "not served because")
NOT_SHOWN = 60  # characters of a reason in a table


def _listed(db: Database, held: Settings, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Those of an instance, with the server that they belong to."""
    server, words = server_key(held), db.read(operator_modes.standing, now())
    rows = db.read(queue_list.listed, server, held.app.panda, names)
    return [{"server": server} | row | _operated(row, words, server) for row in rows]


def _operated(row: dict[str, Any], words: Words, server: str) -> dict[str, Any]:
    """What an operator wants of it, beside what CRIC says."""
    word = words.queues.get((server, row["name"]))
    said = described(row["name"], word)
    asks = {"asks": 0} if word or words.tower else {}
    return {f"operator_{key}": said[key] for key in ("mode", "owner", "reason", "until", "since")} | asks


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="also those that are not served, and why")] = False,
    json: Json = False,
) -> None:
    """List the PanDA queues that are served: their status, the room they have, what would be asked for next."""
    held = settings()
    with database(held) as db:
        rows = [row for one in held.everybody() for row in _listed(db, one)]
        told = summary(db, held)
    shown = [row for row in rows if every or row["served"] or row["handed"] or row["operator_mode"] != Mode.ON]
    if json:
        print_json(shown)
        return
    if shown:
        server = ("server",) if held.app.instances else ()
        table((*COLUMNS[:1], *server, *COLUMNS[1:]), [_line(row, server) for row in shown])
    if told:
        out.print(told["says"], markup=False, highlight=False)


def _line(row: dict[str, Any], server: Sequence[str]) -> list[str]:
    numbers = [str(row[key]) for key in ("present", "waiting", "room", "asks")]
    why = row["why"][:NOT_SHOWN] or (f"trouble: {row['trouble'][:NOT_SHOWN]}" if row["trouble"] else "")
    known = (row["status"], row["operator_mode"], row["type"])
    return [row["name"], *(row[key] for key in server), *known, *numbers, str(len(row["ces"])), why]


@app.command()
def show(name: Annotated[str, typer.Argument(help="the queue's name")], json: Json = False) -> None:
    """Show all that is known of a PanDA queue, and what its newest job asks a CE for. Exit 2: no such queue."""
    held = settings()
    with database(held) as db:
        rows = [
            row | {"example": db.read(queue_list.example, row["server"], name, one.app)}
            for one in held.everybody()
            for row in _listed(db, one, [name])
        ]
    if not rows:
        raise BadInput(f"no PanDA queue {name!r}: `act queues list --all`")
    if json:
        print_json(rows)
        return
    for row in rows:
        _print(row)


def _print(found: dict[str, Any]) -> None:
    for key, value in found.items():
        if value not in (None, "", []) and key != "example":
            out.print(plain(f"{key.replace('_', ' '):14} {_words(value)}"), markup=False, highlight=False)
    if found["example"]:
        print_json(found["example"])


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    return str(brief(at(value), now()) if isinstance(value, datetime) else value)


@app.command()
def check(json: Json = False) -> None:
    """Name the entries of CRIC's last good copy that cannot be read. Exit 1: there are some, or there is no copy."""
    found = [_checked(one) for one in settings().everybody()]
    read, problems = sum(len(one.queues) for one in found), [words for one in found for words in one.problems]
    if json:
        print_json({"read": read, "problems": problems})
    else:
        out.print(f"{read} queues can be read, {sum(len(one.unreadable) for one in found)} cannot", highlight=False)
        for problem in problems:
            out.print(plain(problem), markup=False, highlight=False)
    if problems:
        raise typer.Exit(1)


def _checked(held: Settings) -> Parsed:
    place = refresh.source(held).last_good
    kept = last_good_copy(place, queues_of)
    if kept is None:
        fail(f"{place}: CRIC has not been read yet (`act sweep refresh-queues`)", 1)
    return parse_queues(kept.content, refresh.named(held), held.app.panda.sites, held.arc.sites)


queue_modes.add_to(app)
