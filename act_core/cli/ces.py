"""`act ces`: the computing elements."""

from collections.abc import Collection
from typing import Annotated, Any

import typer

from act_core.ce.registry import kinds
from act_core.cli import ce_abandon, ce_add, ce_modes, ce_test
from act_core.cli.context import check_known, database, now, settings
from act_core.cli.out import out, print_json, table
from act_core.cli.stories import at, brief
from act_core.db import ces as ce_rows
from act_core.db import listing
from act_core.db.models import Ce
from act_core.db.session import Database
from act_core.monitor.explain_ces import NO_LIMIT
from act_core.settings import Settings
from act_core.states import CeState

app = typer.Typer(help="List and show computing elements.", no_args_is_help=True)
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


def all_described(db: Database, held: Settings) -> list[dict[str, Any]]:
    """Every CE with its jobs by state; the configured ones are entered first."""
    db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
    jobs: dict[str, dict[str, int]] = {}
    for count in db.read(listing.counts):
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
        lines.append((row["name"], row["kind"], row["mode"], row["health"] + until, *counts, row["trouble"] or ""))
    table(("CE", "kind", "mode", "health", *states, "trouble"), lines)


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
        if value not in (None, {}):
            out.print(f"{key:12} {value}", highlight=False)


ce_modes.add_to(app)
app.command("add")(ce_add.add)
app.command("remove")(ce_add.remove)
app.command("abandon")(ce_abandon.abandon)
app.command("test")(ce_test.try_ce)
