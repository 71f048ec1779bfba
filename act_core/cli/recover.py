"""`act recover`: find the jobs of a lost database again on the CEs, see how far that is, go on without a CE."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from rich.progress import Progress, TextColumn

from act_core import recovering
from act_core.cli.actor import actor, noted
from act_core.cli.context import check_known, database, now, settings
from act_core.cli.out import err, out, plain, print_json, table
from act_core.db import ces, recovery
from act_core.db.modes import CARED_FOR
from act_core.db.recovery import OfCe, Stand, Told
from act_core.engine.rebuilding import found_there
from act_core.errors import VERDICTS, BadInput
from act_core.installed import applications
from act_core.monitor.times import at
from act_core.runtime import Runtime
from act_core.settings import Settings
from act_core.stages import Tower, sweep

BY_HAND = "an operator asked for it"
WORDS = {
    Told.WAITS: "not asked yet",
    Told.SILENT: "does not answer",
    Told.READ: "read",
    Told.WITHOUT: "left out by an operator",
}


def recover(
    without: Annotated[
        list[str] | None,
        typer.Option(help="go on without this CE; can be repeated. What it has of ours is unknown until it is read"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read the CEs, and tell what would be rebuilt")] = False,
    reason: Annotated[str, typer.Option("--reason", help="for people; it stands in `act audit`")] = "",
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Find jobs again that no table knows, and rebuild their attempts: after a lost or restored database.

    No new jobs are taken or sent meanwhile; what runs goes on. It opens by itself when every CE has been read. Exit 1:
    a CE does not answer, and it is not over; the tower goes on with it, as this command does when it is run again.
    """
    held = settings()
    if dry_run:
        if without:
            raise BadInput("--dry-run changes nothing: give it without --without")
        said = asyncio.run(_would(held))
        print_json(said) if json else _print_would(said)
        raise typer.Exit(int(any(one["trouble"] for one in said["ces"])))
    _asked(held, without or (), reason)
    asyncio.run(_at_work(held, quiet=json))
    with database(held) as db:
        stand = db.read(recovery.under_way)
    if json:
        print_json({"recovery": described(stand)})
    else:
        _print(stand)
    if stand is not None:
        raise typer.Exit(1)


def _asked(held: Settings, without: list[str] | tuple[()], reason: str) -> None:
    """Begin one where none is under way, or go on without some CEs; both are audited. Raises BadInput."""
    with database(held) as db:
        if without:
            check_known(without, [row.name for row in db.read(ces.all_ces)])
            db.write(recovery.go_on_without, without, now())
            for name in without:
                noted(db, "recover.without", name, {"reason": reason})
        elif db.write(recovery.begin, reason or BY_HAND, actor().who, now()):
            noted(db, "recover.begin", "tower", {"reason": reason})


async def _at_work(held: Settings, *, quiet: bool) -> None:
    """A pass over what is to be read, in this process; a worker that is at the same CE is waited for."""
    async with Tower(Runtime.open(held), applications(held)) as tower:
        if not await tower.hooks.ready():
            await sweep(tower, "refresh-queues")
        bar = Progress(*Progress.get_default_columns(), TextColumn("{task.fields[words]}"), console=err, disable=quiet)
        with bar:
            for what in ("reading", "ended jobs"):  # those wait until all others have been read
                await _pass(tower, bar, what)
        await recovering.finish(tower.rt, tower.hooks)


async def _pass(tower: Tower, bar: Progress, what: str) -> None:
    found = [(part, key) for part, key in await tower.due("sweep-status") if part.verb == recovering.VERB]
    line = bar.add_task(what, total=len(found), words="")

    async def one(call: Callable[[], Awaitable[object]], ce: str) -> None:
        try:
            await call()
            bar.update(line, words=ce)
        except VERDICTS as trouble:
            bar.console.print(plain(f"{ce}: {trouble}"), style="yellow", markup=False, highlight=False)
        bar.advance(line)

    await asyncio.gather(*(one(lambda part=part, ce=ce: tower.round(part, ce, 5.0), ce) for part, ce in found))  # type: ignore[misc]


async def _would(held: Settings) -> dict[str, Any]:
    """What each CE names and no table knows. Nothing is written."""
    async with Runtime.open(held) as rt:
        names = [row.name for row in await rt.read(ces.all_ces) if row.mode in CARED_FOR]

        async def one(name: str) -> dict[str, Any]:
            try:
                found, nameless = await found_there(rt, name, await rt.ce(name))
            except VERDICTS as trouble:
                return {"ce": name, "rebuild": 0, "nameless": 0, "trouble": str(trouble)}
            return {"ce": name, "rebuild": len(found), "nameless": nameless, "trouble": None}

        return {"tower": rt.tower, "ces": list(await asyncio.gather(*map(one, names)))}


def _print_would(said: dict[str, Any]) -> None:
    rows = [[one["ce"], str(one["rebuild"]), str(one["nameless"]), one["trouble"] or ""] for one in said["ces"]]
    table(("CE", "would be rebuilt", "nobody can tell whose", "trouble"), rows)
    out.print(f"tower {said['tower']}; nothing was changed", highlight=False)


def described(stand: Stand | None) -> dict[str, Any] | None:
    """For programs; None: none is under way."""
    if stand is None:
        return None
    known = {"began": at(stand.began), "why": stand.why, "who": stand.who, "unread": sorted(stand.unread)}
    return known | {"ces": [_of_ce(one) for one in stand.ces]}


def _of_ce(one: OfCe) -> dict[str, Any]:
    numbers = {"listed": one.listed, "rebuilt": one.rebuilt, "later": one.later, "nameless": one.nameless}
    return {"ce": one.ce, "state": one.told.value, "at": at(one.at), "trouble": one.trouble} | numbers


def _print(stand: Stand | None) -> None:
    if stand is None:
        out.print("the tower knows its jobs: it takes and sends new ones (`act orphans` lists what is nobody's)")
        return
    rows = [
        [one.ce, WORDS[one.told], str(one.rebuilt), str(one.later), str(one.nameless), one.trouble or ""]
        for one in stand.ces
    ]
    table(("CE", "is", "rebuilt", "wait for the others", "nobody can tell whose", "trouble"), rows)
    if not stand.to_read:
        out.print("every CE is read; it ends when CRIC has named those of its queues, or ten minutes after it began")
    out.print(recovery.in_words(stand), style="yellow", markup=False, highlight=False)
