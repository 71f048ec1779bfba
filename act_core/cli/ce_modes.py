"""`act ces on|rest|stop|drain|offline`: what a CE may get, as an operator decides."""

from typing import Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import now
from act_core.cli.mode_commands import add_modes
from act_core.db import ces as ce_rows
from act_core.db.models import Ce
from act_core.db.modes import PERMITS, Mode
from act_core.db.session import Database
from act_core.deeds.modes import Asked, set_ce_mode
from act_core.monitor.times import at
from act_core.settings import Settings

SAYS = {
    Mode.ON: "Send jobs again; without --until all is as configured.",
    Mode.REST: "Send nothing new for a while; its jobs are cared for.",
    Mode.STOP: "Send nothing new; its jobs are cared for.",
    Mode.DRAIN: "Empty it: nothing new is sent, and once its last job is home it is stopped.",
    Mode.OFFLINE: "Ask it nothing at all: its jobs stay as they are in the tables.",
}


def _described(row: Ce) -> dict[str, Any]:
    return {
        "name": row.name,
        "mode": row.mode,
        "owner": row.mode_owner,
        "reason": row.mode_reason,
        "until": at(row.mode_until),
        "sends": PERMITS[Mode(row.mode)].new,
    }


def _set(db: Database, held: Settings, names: list[str], asked: Asked, _server: str) -> list[dict[str, Any]]:
    db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
    return [_described(row) for row in db.write(set_ce_mode, actor(), names, asked, now())]


def add_to(app: typer.Typer) -> None:
    """Register a command a mode; a CE is given up by `act ces abandon`."""
    add_modes(app, SAYS, "CEs", _set)
