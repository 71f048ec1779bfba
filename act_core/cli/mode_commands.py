"""One command a mode, alike for CEs, PanDA queues and shares."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.out import out, plain, print_json
from act_core.db.modes import Mode
from act_core.db.operator_modes import Kind, Word, check_meant
from act_core.db.session import Database
from act_core.deeds.modes import Asked
from act_core.monitor.moments import future
from act_core.monitor.times import at
from act_core.settings import Settings

Reason = Annotated[str, typer.Option("--reason", help="for people; it stands in `act status` and in the ledger")]
Until = Annotated[str, typer.Option("--until", help="it ends by itself: 2026-03-01T12:00 (UTC), or after 30m, 2h, 3d")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Server = Annotated[str, typer.Option("--server", help="the PanDA server, where several have a queue of this name")]
Deed = Callable[[Database, Settings, list[str], Asked, str], list[dict[str, Any]]]


def add_modes(app: typer.Typer, says: Mapping[Mode, str], whom: str, deed: Deed, *, servers: bool = False) -> None:
    """Register a command for each mode; `servers`: a name may need its server."""
    names = Annotated[list[str], typer.Argument(help=f"{whom}, or `all`", metavar="NAME…")]
    for mode, sentence in says.items():
        app.command(mode.value, help=sentence)(_command(mode, names, deed, servers=servers))


def _command(mode: Mode, names_: Any, deed: Deed, *, servers: bool) -> Callable[..., None]:
    def plainly(names: list[str], reason: Reason = "", until: Until = "", json: Json = False) -> None:
        _do(deed, names, mode, reason, until, "", json=json)

    def at_server(
        names: list[str], reason: Reason = "", until: Until = "", server: Server = "", json: Json = False
    ) -> None:
        _do(deed, names, mode, reason, until, server, json=json)

    command = at_server if servers else plainly
    command.__annotations__["names"] = names_
    return command


def _do(deed: Deed, names: list[str], mode: Mode, reason: str, until: str, server: str, *, json: bool) -> None:
    held = settings()
    asked = Asked(mode, reason, future(until, now()))
    with database(held) as db:
        rows = deed(db, held, names, asked, server)
    if json:
        print_json(rows)
        return
    for row in rows:
        out.print(plain(f"{row['name']}: {in_words(row)}"), highlight=False, markup=False)


def in_words(row: Mapping[str, Any]) -> str:
    until = f" until {row['until']}" if row["until"] else ""
    reason = f" ({row['reason']})" if row["reason"] else ""
    by = f", by {row['owner']}" if row["owner"] else ""
    return f"{row['mode']}{until}{by}{reason}"


def described(name: str, word: Word | None) -> dict[str, Any]:
    """What holds of a queue or a share, for programs."""
    if word is None:
        return {"name": name, "mode": Mode.ON.value, "owner": None, "reason": None, "until": None, "since": None}
    said = {"owner": word.owner, "reason": word.reason or None, "until": at(word.until), "since": at(word.since)}
    return {"name": name, "mode": word.mode.value} | said


def refuse(app: typer.Typer, kind: Kind, modes: Mapping[str, Mode]) -> None:
    """Commands that only CEs have: they say what to do instead."""

    def made(mode: Mode) -> Callable[..., None]:
        def command(
            names: Annotated[list[str] | None, typer.Argument(help="names", metavar="NAME…")] = None,
            json: Json = False,
        ) -> None:
            check_meant(kind, _first(names), mode)

        return command

    for word, mode in modes.items():
        app.command(word, hidden=True, help=f"Not for a {kind}: says what to do instead.")(made(mode))


def _first(names: Sequence[str] | None) -> str:
    return names[0] if names else ""
