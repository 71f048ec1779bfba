"""`act queues on|rest|stop|drain|offline`: what is taken from PanDA, as an operator decides; CRIC cannot undo it."""

from typing import Any

import typer

from act_core.atlas.instance import server_key
from act_core.cli.actor import actor
from act_core.cli.context import now
from act_core.cli.mode_commands import add_modes, described, refuse
from act_core.db.modes import Mode
from act_core.db.operator_modes import Kind
from act_core.db.session import Database
from act_core.deeds.modes import ALL, Asked, named, queues_known, queues_named, set_queue_mode
from act_core.errors import BadInput
from act_core.settings import Settings

SAYS = {
    Mode.ON: "Take jobs again, as far as CRIC and the configuration say so.",
    Mode.REST: "Take no jobs from PanDA for a while; those that were taken are sent.",
    Mode.STOP: "Take no jobs from PanDA; those that were taken are sent.",
    Mode.DRAIN: "Let queues run empty: none is taken, those that were are sent; when all are told it is stopped.",
    Mode.OFFLINE: "Take no jobs, and call back what does not run yet: it fails in PanDA, which gives it to others.",
}


def _set(db: Database, held: Settings, names: list[str], asked: Asked, server: str) -> list[dict[str, Any]]:
    by_server = _meant(db, held, names, server)
    rows = []
    for one, of_it in by_server.items():
        found = db.write(set_queue_mode, actor(), one, of_it, asked, now())
        rows += [described(name, word) | {"server": one} for name, word in found.items()]
    return rows


def _meant(db: Database, held: Settings, names: list[str], server: str) -> dict[str, list[str]]:
    """The names by server. Raises BadInput for unknown ones, and for one that several servers have."""
    servers = [server_key(one) for one in held.everybody()]
    if server and server not in servers:
        raise BadInput(f"--server {server!r}: no such PanDA server; there are {', '.join(servers)}")
    wanted = [server] if server else servers
    if names == [ALL]:
        return dict.fromkeys(wanted, names)
    named(names, db.read(queues_known, wanted), "PanDA queue")
    found: dict[str, list[str]] = {}
    for name in names:
        there = [one for one in db.read(queues_named, name) if one in wanted]
        if len(there) > 1:
            raise BadInput(f"PanDA queue {name} is of {' and of '.join(there)}: --server says which is meant")
        found.setdefault(there[0], []).append(name)
    return found


def add_to(app: typer.Typer) -> None:
    """Register a command a mode."""
    add_modes(app, SAYS, "PanDA queues", _set, servers=True)
    refuse(app, Kind.QUEUE, {"abandon": Mode.ABANDONED})
