"""`act ces`: the computing elements."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any

import typer

from act_core.ce.registry import kinds
from act_core.cli import ce_modes
from act_core.cli.context import check_known, database, now, settings
from act_core.cli.later import Place, later
from act_core.cli.out import out, plain, print_json, table
from act_core.db import ces as ce_rows
from act_core.db import listing
from act_core.db.models import Ce
from act_core.db.session import Database
from act_core.monitor.times import at, brief
from act_core.settings import Settings
from act_core.settings.model import NO_LIMIT
from act_core.states import CeState

LATER = {
    "add": Place("ce_add:add"),
    "remove": Place("ce_add:remove"),
    "abandon": Place("ce_abandon:abandon"),
    "test": Place("ce_test:try_ce"),
}
app = typer.Typer(
    cls=later(LATER),
    help="Computing elements: list and show them, add and try one, say what they may get.",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="for programs")]


def described(row: Ce, states: dict[str, int], back_ends: Collection[str]) -> dict[str, Any]:
    """A CE in words. `rests_until`: the breaker is open."""
    resting = row.retry_at is not None and row.retry_at > now()
    health = "resting" if resting else "troubled" if row.failures else "well" if row.last_seen else "unseen"
    return {
        "name": row.name,
        "kind": row.kind,
        "endpoint": row.endpoint,
        "origin": row.origin,
        "mode": row.mode,
        "mode_owner": row.mode_owner,
        "mode_reason": row.mode_reason,
        "mode_until": at(row.mode_until),
        "maxjobs": row.maxjobs if row.maxjobs < NO_LIMIT else "no limit",
        "health": health if row.kind in back_ends else "no back end",
        "rests_until": at(row.retry_at) if resting else None,
        "failures": row.failures,
        "trouble": row.trouble,
        "last_seen": at(row.last_seen),
        "jobs": states,
    }


def all_described(db: Database, held: Settings, counts: Sequence[listing.Count] | None = None) -> list[dict[str, Any]]:
    """Every CE with its jobs by state, as they were counted or now; the configured ones are entered first."""
    db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
    jobs: dict[str, dict[str, int]] = {}
    for count in db.read(listing.counts) if counts is None else counts:
        by_state = jobs.setdefault(count.ce, {})
        by_state[count.state.value] = by_state.get(count.state.value, 0) + count.n
    back_ends = kinds()
    return [described(row, jobs.get(row.name, {}), back_ends) for row in db.read(ce_rows.all_ces)]


SHOWN = tuple(state for state in CeState if state not in (CeState.VOID, CeState.TOSUBMIT))


@app.command("list")
def list_(
    only_kinds: Annotated[bool, typer.Option("--kinds", help="the back ends that there are")] = False,
    json: Json = False,
) -> None:
    """List CEs: how they are doing, and their jobs by state."""
    if only_kinds:
        print_json(list(kinds())) if json else out.print("\n".join(kinds()))
        return
    held = settings()
    with database(held) as db:
        rows = all_described(db, held)
    if json:
        print_json(rows)
        return
    print_ces(rows)


def print_ces(rows: list[dict[str, Any]]) -> None:
    """A table of CEs: how they are doing, and their jobs by state."""
    states = [state.value for state in SHOWN if any(state.value in row["jobs"] for row in rows)]
    if not rows:
        out.print("no CEs: name one under sites in aCTConfigARC.yaml")
        return
    lines = []
    for row in rows:
        counts = [str(row["jobs"].get(state, "")) for state in states]
        until = f" until {brief(row['rests_until'], now())}" if row["rests_until"] else ""
        lines.append((row["name"], row["kind"], row["mode"], row["health"] + until, *counts, _wrong(row)))
    table(("CE", "kind", "mode", "health", *states, "trouble"), lines)


def _wrong(row: dict[str, Any]) -> str:
    """What its calls met, and why somebody set its mode."""
    until = f" until {brief(row['mode_until'], now())}" if row["mode_until"] else ""
    why = f": {row['mode_reason']}" if row["mode_reason"] else ""
    set_ = f"{row['mode']}{until} by {row['mode_owner']}{why}" if row["mode"] != "on" and (until or why) else ""
    return "; ".join(words for words in (row["trouble"], set_) if words)


@app.command()
def show(name: Annotated[str, typer.Argument(help="the CE's name")], json: Json = False) -> None:
    """Show all that is known of a CE."""
    held = settings()
    with database(held) as db:
        rows = {row["name"]: row for row in all_described(db, held)}
    check_known([name], rows)
    if json:
        print_json(rows[name])
        return
    for key, value in rows[name].items():
        words = ", ".join(f"{n} {state}" for state, n in value.items()) if isinstance(value, dict) else value
        if words not in (None, ""):
            out.print(plain(f"{key:12} {words}"), highlight=False, markup=False)


ce_modes.add_to(app)
