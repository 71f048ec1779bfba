"""`act orphans`: jobs on CEs that carry this tower's name and that no living attempt stands for."""

from typing import Annotated, Any

import typer

from act_core.cli.context import check_known, database, settings
from act_core.cli.out import out, print_json, table
from act_core.db import ces as ce_rows
from act_core.db import orphans as remembered
from act_core.db.policy_models import Orphan
from act_core.monitor.times import at

Json = Annotated[bool, typer.Option("--json", help="for programs")]


def _described(row: Orphan) -> dict[str, Any]:
    return {
        "ce": row.ce,
        "remote_id": row.remote_id,
        "key": row.submission_key,
        "attempt": "over" if row.known else "unknown",
        "first_seen": at(row.first_seen),
        "last_seen": at(row.last_seen),
        "killed_at": at(row.killed_at),
    }


def orphans(
    ce: Annotated[str | None, typer.Option(help="only on this CE")] = None,
    json: Json = False,
) -> None:
    """List jobs on CEs that are this tower's and nobody's: left behind, or of a database that is no more."""
    with database(settings()) as db:
        if ce is not None:
            check_known([ce], [row.name for row in db.read(ce_rows.all_ces)])
        rows = [_described(row) for row in db.read(remembered.all_of, ce)]
    if json:
        print_json(rows)
    elif not rows:
        out.print("no orphans")
    else:
        columns = ("CE", "job", "key", "its attempt is", "first seen", "last seen", "killed")
        table(columns, [[str(one or "") for one in row.values()] for row in rows])
