"""The command `act`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from act_core.cli.later import Place, later
from act_core.cli.verdicts import spoken

# As `act --help` shows them: by what one wants to do, in this order, a line each at 80 columns; where each one is.
PANELS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Start": (
        ("config", "what the configuration says, and what is wrong with it", "config:app"),
        ("bootstrap", "make or upgrade the state tables; drops nothing", "sweep:bootstrap"),
        ("up", "bring the tower up: server, schedules, worker, page", "tower:up"),
        ("down", "end what `act up` started; jobs on the CEs go on", "tower:down"),
        ("worker", "a further worker of this tower, here or on another machine", "worker:worker"),
        ("web", "the operators' page alone; passwords and tokens for it", "web:app"),
        ("sweep", "run a stage in this process, without Prefect", "sweep:sweep"),
    ),
    "Look": (
        ("status", "is the tower up, how are its CEs, what is wrong", "tower:status"),
        ("report", "how many jobs stand where: CEs, PanDA queues; as a page, too", "report:reported"),
        ("books", "what was taken from PanDA by day, and what became of it", "books:app"),
        ("audit", "who did what", "audit:audit"),
        ("what-if", "a day of a CE replayed with other limits", "what_if:command"),
    ),
    "Steer": (
        ("jobs", "add, list, show, try, cancel, fetch, resubmit, … jobs", "jobs:app"),
        ("simple", "campaigns: many jobs of one kind", "simple:app"),
        ("ces", "computing elements: list, add, test; what they may get", "ces:app"),
        ("queues", "PanDA queues: list, show; what is taken for them", "queues:app"),
        ("shares", "shares: what they have, what holds them; stop one", "shares:app"),
        ("drain", "let the whole tower run empty", "drain:drain"),
        ("credentials", "proxies and tokens: until when, who renews them", "credentials:app"),
        ("harvester", "jobs that a Harvester took and hands over", "harvester:app"),
    ),
    "When something is wrong": (
        ("doctor", "look at everything; what is wrong, and what to do", "doctor:doctor"),
        ("explain", "why a job, a CE or a queue is as it is; what you can do", "explain:explain"),
        ("errors", "which error rules were applied, how often, to what", "errors:errors"),
        ("brake", "mass actions that were stopped: list them, release one", "brake:app"),
        ("recover", "after a lost database: find the jobs again on the CEs", "recover:recover"),
        ("orphans", "jobs on CEs that are this tower's and nobody's", "orphans:orphans"),
        ("ticket", "a text for a site, ready to be pasted", "ticket:ticket"),
    ),
    "For cron jobs and timers": (
        ("deadman", "is the tower at work? asks the state tables alone", "deadman:deadman"),
        ("heartbeats", "PanDA jobs of which PanDA has not heard for too long", "heartbeats:heartbeats"),
        ("critical", "errors in the log of the last hour", "critical:errors_of"),
    ),
    "Try it out": (
        ("demo", "200 jobs from a simulated PanDA through simulated CEs", "demo:demo"),
        ("simulate", "simulated servers: PanDA, CRIC, ARC, storage, pilot", "simulate:app"),
    ),
}
COMMANDS = {name: Place(where, says, panel) for panel, commands in PANELS.items() for name, says, where in commands}
app = typer.Typer(
    cls=later(COMMANDS),
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"act-flows {version('act-flows')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    arc_file: Annotated[Path | None, typer.Option(help="aCTConfigARC.yaml to use", envvar="ACTCONFIGARC")] = None,
    app_file: Annotated[Path | None, typer.Option(help="aCTConfigAPP.yaml to use", envvar="ACTCONFIGAPP")] = None,
    _version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="the version of this program")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="without a command: what to do first, for programs")] = False,
) -> None:
    """Jobs from PanDA, or by hand, to computing elements and back. Without a command: what to do first."""
    from act_core.cli.context import use_files

    use_files(arc_file, app_file)
    if context.invoked_subcommand is None:
        from act_core.cli.first import first

        first(json=json)


def main() -> None:
    """Entry point of `act`."""
    spoken(app)
