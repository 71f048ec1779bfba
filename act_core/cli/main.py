"""The command `act`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from act_core.cli import (
    books,
    brake,
    ces,
    config,
    credentials,
    demo,
    errors,
    explain,
    harvester,
    jobs,
    orphans,
    queues,
    simulate,
    sweep,
    ticket,
    tower,
)
from act_core.cli.context import use_files
from act_core.cli.out import fail, out
from act_core.errors import ActError, BadInput, ConfigError, CredentialError, Transient

app = typer.Typer(
    help="The ACT Flows tower: jobs from PanDA (or by hand) to computing elements and back.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

FIRST = """\
[bold]act[/bold] - a tower between workload systems and computing elements

  [bold]act demo[/bold]              see it work: simulated PanDA and CEs, 200 jobs, three minutes
  [bold]act config check[/bold]      what the configuration says, and where it comes from
  [bold]act bootstrap[/bold]         make the state tables
  [bold]act up[/bold]                start the tower: Prefect's server, its schedules, a worker
  [bold]act status[/bold]            what runs where, and what rests
  [bold]act jobs add FILE[/bold]     a job without PanDA

[dim]act --help lists every command.[/dim]"""


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    arc_file: Annotated[Path | None, typer.Option(help="aCTConfigARC.yaml to use", envvar="ACTCONFIGARC")] = None,
    app_file: Annotated[Path | None, typer.Option(help="aCTConfigAPP.yaml to use", envvar="ACTCONFIGAPP")] = None,
) -> None:
    use_files(arc_file, app_file)
    if context.invoked_subcommand is None:
        out.print(FIRST)


app.add_typer(config.app, name="config")
app.add_typer(jobs.app, name="jobs")
app.add_typer(ces.app, name="ces")
app.add_typer(queues.app, name="queues")
app.add_typer(harvester.app, name="harvester")
app.command("bootstrap")(sweep.bootstrap)
app.command("sweep")(sweep.sweep)
app.command("up")(tower.up)
app.command("down")(tower.down)
app.command("status")(tower.status)
app.add_typer(credentials.app, name="credentials")
app.add_typer(brake.app, name="brake")
app.add_typer(books.app, name="books")
app.command("orphans")(orphans.orphans)
app.command("explain")(explain.explain)
app.command("errors")(errors.errors)
app.command("ticket")(ticket.ticket)
app.add_typer(simulate.app, name="simulate")
app.command("demo")(demo.demo)

# What a shell script may count on: 0 good, 1 it did not work, 2 the operator's mistake, 3 come again later.
EXITS: tuple[tuple[type[ActError], int], ...] = ((ConfigError, 2), (CredentialError, 2), (BadInput, 2), (Transient, 3))


def main() -> None:
    """Entry point: verdicts become a sentence and an exit code, never a traceback."""
    try:
        app()
    except ActError as err:
        fail(str(err), next((code for kind, code in EXITS if isinstance(err, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
