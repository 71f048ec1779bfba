"""`act audit`: who did what to the tower."""

import re
from typing import Annotated, Any

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.out import out, print_json, table
from act_core.db import audit as kept
from act_core.db.policy_models import AuditLine
from act_core.monitor.moments import past
from act_core.monitor.times import at, brief

FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)(\.\d+)?\+00:00")
SHOWN = 120  # characters of the facts in a table


def audit(
    since: Annotated[str, typer.Option("--since", help="not before: 2026-03-01T12:00 (UTC), or 2h, 3d ago")] = "",
    who: Annotated[str | None, typer.Option("--who", help="only by this person")] = None,
    deed: Annotated[str | None, typer.Option("--deed", help="only these: `ces`, `jobs.cancel`, `brake`, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="so many lines at most")] = 50,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List what people did: modes, bulk actions, releases of the brake, CEs, credentials. The newest first."""
    from_then = past(since, now(), "--since") if since else None
    with database(settings()) as db:
        rows = [_described(row) for row in db.read(kept.lines, limit, from_then, who, deed)]
    if json:
        print_json(rows)
    elif not rows:
        out.print("nobody did anything that is written down")
    else:
        table(("at", "who", "by way of", "deed", "on", "facts"), [_line(row) for row in rows])


def _described(row: AuditLine) -> dict[str, Any]:
    names = ("who", "role", "via", "deed", "subject", "done", "facts")
    return {"at": at(row.at)} | {name: getattr(row, name) for name in names}


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    facts = ", ".join(_fact(name, value) for name, value in row["facts"].items() if value not in ("", None, [], False))
    done = row["deed"] if row["done"] else f"{row['deed']} (refused)"
    return brief(row["at"], now()), row["who"], row["via"], done, row["subject"][:60], facts[:SHOWN]


def _fact(name: str, value: object) -> str:
    """As people write it: lists by commas, whole seconds."""
    words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{name}={FRACTION.sub('Z', words)}"
