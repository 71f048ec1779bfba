"""`act report`: the original's tables, for terminals, web servers and programs. It changes no job and no process."""

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from act_core.cli import context
from act_core.cli.out import out, print_json, table, warn
from act_core.db import counting
from act_core.db.bootstrap import open_tables
from act_core.db.session import Database
from act_core.engine.count import bring_up_to_date
from act_core.errors import ActError, BadInput, Transient
from act_core.installed import applications
from act_core.monitor.report import Report, report
from act_core.monitor.report_page import page, write_page
from act_core.settings import Settings
from act_core.settings.load import kind_of, load_settings

LATE = 1.5 * counting.EVERY  # no tower counts, or it has too much to do


@dataclass(frozen=True, slots=True)
class Pair:
    """The configuration files of a tower; None: where they are always looked for."""

    arc: Path | None
    app: Path | None


def reported(
    conf: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CONF]...",
            help="files of other towers: each aCTConfigARC.yaml, then its aCTConfigAPP.yaml",
        ),
    ] = None,
    web: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page that renews itself, and no text")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Tell what stands where: CEs, what waits, PanDA queues, with totals.

    The numbers are those that a tower counts every 10 s; where none is up they are counted now. With CONF… there is a
    section for each of these towers instead of this one. Exit 1: a tower could not be read.
    """
    held = (
        [load_settings(pair.arc, pair.app).settings for pair in pairs(conf)] if conf else [context.settings(quiet=True)]
    )
    found, troubles = _read(held, alone=not conf)
    if web:
        write_page(web, page(found, troubles))
    if json:
        print_json([one.body() for one in found] if conf else found[0].body())
    elif not web:
        for one in found:
            _print(one)
    for words in troubles:
        warn(words)
    if troubles:
        raise typer.Exit(1)


def pairs(files: Sequence[Path]) -> list[Pair]:
    """Files in the order of the command line: one that names CEs begins a tower, one that names PanDA belongs to it."""
    found: list[Pair] = []
    for file in files:
        if kind_of(file) == "arc":
            found.append(Pair(file, None))
        elif found and found[-1].app is None:
            found[-1] = Pair(found[-1].arc, file)
        else:
            raise BadInput(f"{file}: an aCTConfigAPP.yaml belongs behind the aCTConfigARC.yaml of its tower")
    return found


def _read(all_held: Sequence[Settings], alone: bool) -> tuple[list[Report], list[str]]:
    """The reports, and of those that cannot be had why. One tower's trouble is its own, but for one that is alone."""
    found, troubles = [], []
    for held in all_held:
        try:
            with closing(open_tables(held)) as db:
                found.append(read(db, held))
        except ActError as err:
            if alone:
                raise
            troubles.append(f"{held.files.get('arc', 'aCTConfigARC.yaml')}: {err}")
    return found, troubles


def read(db: Database, held: Settings) -> Report:
    """The report of a tower; its counts are brought up to date first, if no tower does it."""
    apps, now = applications(held), context.now()
    at = db.read(counting.counted_at)
    if at is None or now - at > LATE:
        with suppress(Transient):  # who cannot write reads the old ones, which say so
            db.write(bring_up_to_date, now, [app.count for app in apps if app.count], counting.EVERY)
    return db.read(report, held, apps, db.engine.url.render_as_string(hide_password=True), now)


def _print(one: Report) -> None:
    out.print(f"tower {one.tower}: {one.age}", style="red" if one.old else "bold", markup=False)
    shown = [each for each in one.tables if each.rows]
    for each in shown:
        small = each.compact()
        out.print()
        out.print(small.title, style="bold underline", markup=False)
        table(small.columns, small.lines())
        if small.note:
            out.print(small.note, markup=False)
    if not shown:
        out.print("no jobs")
