"""`act config`: whether the configuration is good, what holds, and where it comes from."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from act_core import live
from act_core.atlas.books import NAME as ATLAS
from act_core.cli.context import now
from act_core.cli.out import fail, out, plain, print_json, table, warn
from act_core.errors import ConfigError
from act_core.live import check_parts
from act_core.settings import BadSettings, Loaded, Settings, load_settings, taken
from act_core.settings.complaints import nearest
from act_core.settings.explain import explain, in_words

app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)
ArcFile = Annotated[Path | None, typer.Option(help="aCTConfigARC.yaml to use")]
AppFile = Annotated[Path | None, typer.Option(help="aCTConfigAPP.yaml to use")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command()
def check(context: typer.Context, arc_file: ArcFile = None, app_file: AppFile = None, json: Json = False) -> None:
    """Whether the tower would start with it, and know every CE. Exit 2 if not: every problem's file and line."""
    try:
        loaded = _load(context, arc_file, app_file)
        asyncio.run(check_parts(loaded.settings, now))
    except ConfigError as err:
        if json:
            problems = list(err.problems) if isinstance(err, BadSettings) else [str(err)]
            print_json({"good": False, "problems": problems})
        fail(str(err), 2)
    settings = loaded.settings
    warnings = [*loaded.warnings, *_absent(settings), *_of_panda(settings)]
    for warning in warnings:
        warn(warning)
    if json:
        gist = _gist(loaded) | {"tower": _taken(context, settings, arc_file, app_file)}
        print_json({"good": True, "problems": [], "warnings": warnings, "files": loaded.files, **gist})
        return
    for file in loaded.files:
        out.print(f"read {plain(str(file))}", markup=False)
    if not loaded.files:
        out.print("no file: the defaults hold")
    out.print(
        f"good: {len(settings.arc.sites)} CEs, {len(_queues(settings))} PanDA queues, "
        f"applications {', '.join((*settings.app.modules.app, *settings.app.instances)) or 'none'}, "
        f"state tables in {settings.arc.db.type}",
        markup=False,
    )
    if taken := _taken(context, settings, arc_file, app_file):
        out.print(taken["words"], markup=False, style=None if taken["in_force"] else "yellow")


@app.command()
def show(
    context: typer.Context,
    arc_file: ArcFile = None,
    app_file: AppFile = None,
    changed: Annotated[bool, typer.Option("--changed", help="without the defaults")] = False,
    json: Json = False,
) -> None:
    """What holds, and where it comes from; secrets are hidden."""
    try:
        loaded = _load(context, arc_file, app_file)
    except ConfigError as err:
        fail(str(err), 2)
    for warning in loaded.warnings:
        warn(warning)
    rows = [row for row in explain(loaded.settings) if row.changed or not changed]
    if json:
        print_json([{"file": row.file, "key": row.key, "value": row.value, "origin": row.origin} for row in rows])
        return
    table(("KEY", "VALUE", "FROM"), [(row.key, in_words(row.value), row.origin) for row in rows])


def _load(context: typer.Context, arc: Path | None, app_file: Path | None) -> Loaded:
    """With the files named here, else those named before the command (`act --arc-file F config …`)."""
    root = context.find_root().params
    return load_settings(arc or root.get("arc_file"), app_file or root.get("app_file"))


def _taken(
    context: typer.Context, settings: Settings, arc: Path | None, app_file: Path | None
) -> dict[str, Any] | None:
    """Whether the tower that is up has taken these files over; None: none is up."""
    running = taken.said(settings.state_dir)
    if running is None:
        return None
    root = context.find_root().params
    named = {"arc": arc or root.get("arc_file"), "app": app_file or root.get("app_file")}
    same = live.digest(os.environ, named) == running["digest"] and not running["problems"]
    theirs = ", ".join(running["files"].values()) or "no file"
    waits = f"; a restart is wanted by {', '.join(running['restart'])}" if running["restart"] else ""
    if same:
        words = f"the tower that is up has taken it over ({running['taken'][:19].replace('T', ' ')} UTC){waits}"
    elif running["files"] != {kind: str(path) for kind, path in settings.files.items()}:
        words = f"the tower that is up reads other files: {theirs}"
    else:
        words = "the tower that is up has not taken it over yet: it looks every two seconds (`act status`)"
    return {"in_force": same and not waits, "words": words, "taken": running["taken"], "restart": running["restart"]}


def _absent(settings: Settings) -> Iterator[str]:
    """What an ARC CE needs of this machine and does not find: it may come before the tower starts."""
    arc = {name: site for name, site in settings.arc.sites.items() if site.kind == "arc-rest"}
    voms = settings.arc.voms
    own = {f"sites.{name}.proxy": site.proxy for name, site in arc.items() if site.proxy}
    shared = {"voms.proxypath": voms.proxypath} if len(own) < len(arc) else {}
    for key, file in (shared | own).items():
        if file and not file.is_file():
            yield f"{settings.where(key)}: {key}: there is no proxy {file}"
    if arc and not voms.cacertdir.is_dir():
        yield f"{settings.where('voms.cacertdir')}: voms.cacertdir: there is no directory {voms.cacertdir}"


def _of_panda(settings: Settings) -> Iterator[str]:
    """What each instance of the ATLAS application does not find, and CEs of queues that may be misspelt."""
    for seen in settings.everybody() if ATLAS in settings.app.modules.app else ():
        panda, whose = seen.app.panda, f"instances.{seen.instance}." if seen.instance else ""
        for key, file in (("panda.proxy", panda.proxy), ("panda.tokenfile", panda.tokenfile)):
            if file and not file.is_file():
                yield f"{seen.where(key)}: {whose}{key}: there is no file {file}"
        for queue, site in panda.sites.items():
            key = f"panda.sites.{queue}.endpoints"
            for word in site.endpoints:
                if word not in settings.arc.sites and not {".", ":"} & set(word):
                    near = nearest(word, settings.arc.sites)
                    yield f"{seen.where(key)}: {whose}{key}: {word} is none of sites, so the host of an ARC CE{near}"


def _queues(settings: Settings) -> list[str]:
    return sorted(name for seen in settings.everybody() for name in seen.app.panda.sites)


def _gist(loaded: Loaded) -> dict[str, Any]:
    settings = loaded.settings
    return {
        "ces": sorted(settings.arc.sites),
        "queues": _queues(settings),
        "apps": settings.app.modules.app,
        "instances": sorted(settings.app.instances),
        "database": settings.arc.db.type,
        "state_dir": settings.state_dir,
    }
