"""`act ces on|rest|stop|drain|offline`: what a CE may get, as an operator decides."""

from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from act_core.cli.context import database, now, settings
from act_core.cli.out import out, print_json
from act_core.cli.stories import at
from act_core.db import ces as ce_rows
from act_core.db import downtimes, modes, queries
from act_core.db.models import Ce
from act_core.db.modes import OPERATOR, PERMITS, Mode, Wanted
from act_core.errors import BadInput
from act_core.settings.quantities import Seconds

Names = Annotated[list[str], typer.Argument(help="CEs, or `all`", metavar="NAME…")]
Reason = Annotated[str, typer.Option("--reason", help="for people; it stands in `act status` and in the ledger")]
Until = Annotated[str, typer.Option("--until", help="it ends by itself: 2026-03-01T12:00 (UTC), or after 30m, 2h, 3d")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
SAYS = {
    Mode.ON: "Send jobs again; without --until all is as configured.",
    Mode.REST: "Send nothing new for a while; its jobs are cared for.",
    Mode.STOP: "Send nothing new; its jobs are cared for.",
    Mode.DRAIN: "Empty it: nothing new is sent, and once its last job is home it is stopped.",
    Mode.OFFLINE: "Ask it nothing at all: its jobs stay as they are in the tables.",
}


def moment(text: str, at_present: datetime) -> datetime | None:
    """A time of day, or one so long from now. Raises BadInput for another text, and for a moment that has passed."""
    if not text:
        return None
    try:
        found = at_present + TypeAdapter(Seconds).validate_python(text)
    except ValidationError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(f"--until {text!r}: a time is wanted, such as 2026-03-01T12:00 or 2h") from None
    except OverflowError:
        raise BadInput(f"--until {text!r}: nobody waits so long") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if found <= at_present:
        raise BadInput(f"--until {text!r}: that has passed")
    return found


def named(asked: list[str], known: list[str]) -> list[str]:
    """The CEs that are meant. Raises BadInput for one that nobody knows, with the nearest ones."""
    if asked == ["all"]:
        return known
    for name in asked:
        if name not in known:
            near = get_close_matches(name, known, n=3) or known[:5]
            raise BadInput(f"no CE {name!r}; the nearest: {', '.join(near) or 'there are none'}")
    return list(dict.fromkeys(asked))


def put(session: Session, ce: str, wanted: Wanted, when: datetime) -> None:
    """An operator's word; `on` during a downtime stands until its end at least."""
    if wanted.mode is not Mode.ON:
        modes.set_mode(session, ce, wanted, when)
        return
    row, until = queries.ce_row(session, ce), wanted.until
    held = row and downtimes.under_way(downtimes.of(downtimes.coming(session, when), row), when)
    modes.back_on(session, ce, wanted.reason, until or (held.end if held else None), when)


def _described(row: Ce) -> dict[str, Any]:
    return {
        "name": row.name,
        "mode": row.mode,
        "owner": row.mode_owner,
        "reason": row.mode_reason,
        "until": at(row.mode_until),
        "sends": PERMITS[Mode(row.mode)].new,
    }


def _command(mode: Mode) -> Callable[..., None]:
    def command(names: Names, reason: Reason = "", until: Until = "", json: Json = False) -> None:
        held, when = settings(), now()
        wanted = Wanted(mode, OPERATOR, reason, moment(until, when))
        with database(held) as db:
            db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, when)
            chosen = named(names, [row.name for row in db.read(ce_rows.all_ces)])
            for name in chosen:
                db.write(put, name, wanted, when)
            rows = [_described(row) for row in db.read(ce_rows.all_ces) if row.name in chosen]
        if json:
            print_json(rows)
            return
        for row in rows:
            out.print(f"{row['name']}: {_in_words(row)}", highlight=False, markup=False)

    command.__doc__ = SAYS[mode]
    return command


def _in_words(row: dict[str, Any]) -> str:
    until = f" until {row['until']}" if row["until"] else ""
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{row['mode']}{until}, by {row['owner']}{reason}"


def add_to(app: typer.Typer) -> None:
    """Register a command a mode; a CE is given up by `act ces abandon`."""
    for mode in SAYS:
        app.command(mode.value)(_command(mode))
