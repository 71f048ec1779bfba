"""`act sweep`: stages in the calling process, without Prefect; and `act bootstrap`."""

import asyncio
import time
from contextlib import closing
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from act_core import garbage
from act_core.cli.context import check_known, now, settings
from act_core.cli.out import err, fail, out, print_json, warn
from act_core.credentials.vault import make_key
from act_core.db import ces, listing, recovery
from act_core.db.bootstrap import bootstrap as make_tables
from act_core.db.bootstrap import enter_configured, mark_restored
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.hooks import BROKEN, LOOK, bootstrap_apps
from act_core.installed import applications, stages_of
from act_core.processes import standing
from act_core.runtime import WRONG, Counts, Runtime
from act_core.settings import Settings
from act_core.settings.model import Observing
from act_core.stages import Tower
from act_core.stages import sweep as one_pass
from act_core.timetable import STAGES

ALL = "all"
ORDER = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "clean", "heartbeat")
WRONGS = {  # what a pass counted → why it ends with 1
    "illegal": "{n} illegal moves: see the log",
    WRONG: f"{{n}} {WRONG}: see the log",
    BROKEN: "{n} calls of applications failed: see the log",
    "unbalanced": "the books of {n} queues do not balance: `act books`",
}


def bootstrap(
    restored: Annotated[
        bool, typer.Option("--restored", help="it is a restored copy: `act up` treats it as such (docs/backup.md)")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Make or upgrade the state tables. Drops nothing; can be repeated."""
    held = settings()
    apps = applications(held)
    with closing(Database(held)) as db:
        made = make_tables(db, now(), held.state_dir)
        enter_configured(db, held, now())
        trouble = make_key(held, first=made.before != made.now or held.arc.db.type == "sqlite")
        broken = bootstrap_apps(db, apps)
        if made.lost:
            db.write(recovery.begin, recovery.NEW, recovery.TOWER, now())
        if restored:
            mark_restored(held.state_dir, made.tower)
        where = db.engine.url.render_as_string(hide_password=True)
    if trouble:
        warn(trouble)
    if json:
        print_json(
            {"tower": made.tower, "schema": made.now, "before": made.before, "database": where, "restored": restored}
            | {"recovery": made.lost}
        )
        _tell(broken)
        return
    change = "made" if made.before is None else "upgraded" if made.before != made.now else "already there"
    out.print(f"state tables {change} (schema {made.now}) in {where}", highlight=False)
    out.print(f"this tower is [bold]{made.tower}[/bold]", highlight=False)
    if made.lost:
        out.print("it has lived before: it finds its jobs again on the CEs first (`act recover`, docs/recovery.md)")
    if restored:
        out.print("they are taken for a restored copy: the next `act up` says what follows (docs/backup.md)")
    _tell(broken)


def _tell(broken: list[str]) -> None:
    if broken:
        fail("\n".join([*broken, "the tables of all others are there"]), 1)


def sweep(
    stage: Annotated[
        str, typer.Argument(help=f"a stage, or `all`: {', '.join(STAGES)}, or an application's own", metavar="STAGE")
    ],
    ce: Annotated[list[str] | None, typer.Option(help="only this CE; can be repeated")] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="go on until nothing is left to do")] = False,
    timeout: Annotated[float, typer.Option(help="with --until-idle: give up after so many seconds", min=0)] = 3600,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Run a stage in this process. Exit 1: some CEs had errors, or --until-idle was given up."""
    held = observing_too(settings())
    known = stages_of(applications(held))
    if stage != ALL and stage not in known:
        raise BadInput(f"no stage {stage!r}; there are {ALL}, {', '.join(known)}")
    began = time.monotonic()
    if held.arc.tower.observe:
        warn("OBSERVING: nothing is taken, sent, killed, reported or cleaned")
    garbage.calm()
    counts, idle = asyncio.run(_sweep(held, stage, ce or [], until_idle, timeout))
    seconds = time.monotonic() - began
    if json:
        print_json({"stage": stage, "seconds": round(seconds, 3), "idle": idle, **counts})
    else:
        out.print(f"{stage}: {in_words(counts)} in {seconds:.1f} s")
    if until_idle and not idle:
        fail(f"given up after {timeout:.0f} s: work is left (`act jobs list`)", 1)
    for word, sentence in WRONGS.items():
        if counts[word]:
            fail(sentence.format(n=counts[word]), 1)
    if counts["errors"] and not until_idle:
        raise typer.Exit(1)


def observing_too(held: Settings) -> Settings:
    """Where a tower is up that only observes, no command beside it does more."""
    if held.arc.tower.observe or not (standing(held.state_dir) or {}).get("observing"):
        return held
    arc = held.arc.model_copy(update={"tower": Observing(observe=True)})
    return held.model_copy(update={"arc": arc})


def in_words(counts: Counts) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing to do"


async def _sweep(held: Settings, stage: str, keys: list[str], until_idle: bool, timeout: float) -> tuple[Counts, bool]:
    total = Counts()
    end = time.monotonic() + timeout
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with Tower(Runtime.open(held)) as tower:
        tower.rt.lasting = False
        own = (one.name for app in tower.apps for one in app.stages if one.every is None)
        names = (*own, *ORDER) if stage == ALL else (stage,)
        await _check_keys(tower, names, keys)
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("")
            while True:
                done = Counts()
                for name in names:
                    done += await one_pass(tower, name, keys)
                total += done
                idle = await _idle(tower, names) if stage != ALL else not await tower.rt.read(listing.unsettled)
                if not until_idle or idle or time.monotonic() > end:
                    return total, idle
                progress.update(task, description=in_words(total))
                if not done:
                    await asyncio.sleep(0.2)


async def _check_keys(tower: Tower, names: tuple[str, ...], keys: list[str]) -> None:
    """Raises BadInput for an unknown CE. Some parts have keys of another kind, which are known while they are due."""
    if keys and any(part.breaker for name in names for part in tower.parts(name)):
        due = {key for name in names for _part, key in await tower.due(name)}
        check_known(set(keys) - due, [row.name for row in await tower.rt.read(ces.all_ces)])


async def _idle(tower: Tower, names: tuple[str, ...]) -> bool:
    return not any([key != LOOK for name in names for _part, key in await tower.due(name)])
