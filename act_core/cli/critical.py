"""`act critical`: the errors in the tower's log, for a cron job that mails what is said."""

from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from act_core.cli.context import now, settings
from act_core.cli.out import out, plain, print_json, table, warn
from act_core.errors import BadInput
from act_core.monitor.critical import MOST, Critical, Group, critical
from act_core.monitor.times import at, span
from act_core.settings.quantities import Seconds

_TIME = TypeAdapter(Seconds)
SHOWN = 20  # groups


def errors_of(
    since: Annotated[str, typer.Option(help="how far to look back: seconds, or 90s, 30min, 1h, 2d")] = "1h",
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Count the errors in the log, and show the newest with its traceback. Silent with exit 0: none; exit 1: some."""
    try:
        back = _TIME.validate_python(since)
    except ValidationError as err:
        raise BadInput(f"--since {since}: a time is wanted: seconds, or a number with s, min, h or d") from err
    held = settings(quiet=True)
    found = critical(held.arc.logger.logdir or held.state_dir / "log", now() - back)
    if json:
        print_json({"n": found.n, "cut": found.cut, "groups": [_body(group) for group in found.groups]})
    elif found.n:
        _print(found, span(back))
    elif out.is_terminal:  # a cron job hears nothing
        out.print(f"no errors in the log of the last {span(back)}")
    if found.cut:
        warn(f"only the last {MOST // 2**20} MiB of the log were read: there may be more")
    if found.n:
        raise typer.Exit(1)


def _body(group: Group) -> dict[str, object]:
    newest = group.newest
    known = {"n": group.n, "level": newest.level, "logger": newest.logger, "newest_at": newest.at}
    return known | {"words": newest.words, "trace": list(newest.trace)}


def _print(found: Critical, back: str) -> None:
    newest = found.groups[0].newest
    out.print(f"{found.n} errors in the last {back}, of {len(found.groups)} kinds; the newest:", style="bold red")
    lines = [f"{at(newest.at)} {newest.level} {newest.logger} {newest.words}", *newest.trace]
    out.print("\n".join(map(plain, lines)), markup=False, highlight=False)
    out.print()
    rows = [
        (str(g.n), at(g.newest.at) or "", g.newest.level, g.newest.logger, g.newest.words[:160]) for g in found.groups
    ]
    table(("errors", "newest", "level", "who", "what"), rows[:SHOWN])
    if len(rows) > SHOWN:
        out.print(f"and {len(rows) - SHOWN} more kinds: `--json`")
