"""The original's commands by their own names, over the functions of `act` (docs/original.md).

Cron calls some of them each minute: each imports only what it needs.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from act_core.cli.verdicts import spoken

Json = Annotated[bool, typer.Option("--json", help="for programs")]


class Deed(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    STATUS = "status"


def actbootstrap() -> None:
    """As `act bootstrap`."""
    from act_core.cli import sweep

    _run("actbootstrap", sweep.bootstrap)


def actmain() -> None:
    """As `act up`, `act down` and `act status`."""
    _run("actmain", _main)


def actreport() -> None:
    """As `act report`."""
    from act_core.cli import report

    _run("actreport", report.reported)


def actheartbeatwatchdog() -> None:
    """As `act heartbeats --send`."""
    _run("actheartbeatwatchdog", _watchdog)


def actcriticalmonitor() -> None:
    """As `act critical`."""
    from act_core.cli import critical

    _run("actcriticalmonitor", critical.errors_of)


def _run(name: str, command: Callable[..., None]) -> None:
    help_words = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, context_settings=help_words)
    app.command()(command)
    spoken(partial(app, prog_name=name))


def _main(
    deed: Annotated[
        Deed | None, typer.Argument(metavar="[start|stop|restart|status]", help="none: in the foreground")
    ] = None,
    json: Json = False,
) -> None:
    """Bring the tower up in the foreground, or start, stop or restart it in the background, or tell how it is.

    The same as `act up`, `act up --detach`, `act down` and `act status`. --json is for status.
    """
    from act_core.cli import tower

    if deed in (Deed.STOP, Deed.RESTART):
        tower.down()
    if deed in (Deed.START, Deed.RESTART):
        tower.up(detach=True)
    elif deed is None:
        tower.up()
    elif deed is Deed.STATUS:
        tower.status(json=json)


def _watchdog(
    seconds: Annotated[int, typer.Argument(min=1, metavar="SECONDS", help="without a report that PanDA took")],
    json: Json = False,
) -> None:
    """List PanDA jobs of which PanDA has taken no report for so long, and have it told of those that are known.

    The same as `act heartbeats --late SECONDS --send`. Exit 1: there are some.
    """
    from act_core.cli import heartbeats

    heartbeats.watch(seconds, send=True, json=json)
