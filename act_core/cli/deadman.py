"""`act deadman`: whether the tower is at work, asked from outside of it."""

from datetime import datetime
from typing import Annotated, Any

import typer

from act_core.atlas.books import HARVESTER
from act_core.cli.context import database, settings
from act_core.cli.out import out, plain, print_json
from act_core.monitor import deadman as dead_man
from act_core.monitor.deadman import Limits, Sight
from act_core.monitor.moments import length
from act_core.monitor.times import at, span

OK = "the tower is at work"


def deadman(
    late: Annotated[str, typer.Option(help="a report to PanDA may be overdue so long")] = "45min",
    counts: Annotated[str, typer.Option(help="counts of jobs, renewed every 10 s, may be so old")] = "5min",
    quiet: Annotated[str, typer.Option(help="so long nobody may have held a lease; a stage has work every 10 min")] = (
        "30min"
    ),
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Tell whether the tower is at work, from the state tables alone. It reports, and mends nothing.

    For a timer outside of the tower (deployments/act-deadman.timer). Neither Prefect nor the worker is asked.

    Exit 0: it is. 1: something is late. 2: the configuration, or no state tables. 3: the database does not answer.
    """
    limits = Limits(length(late, "--late"), length(counts, "--counts"), length(quiet, "--quiet"))
    held = settings()
    with database(held) as db:
        moment = db.clock()
        sight = db.read(dead_man.look, moment, HARVESTER)
    wrong = dead_man.complaints(sight, limits, moment, held.arc.tower.observe)
    if json:
        print_json(_described(sight, wrong, moment))
    else:
        _print(sight, wrong, moment)
    if wrong:
        raise typer.Exit(1)


def _described(sight: Sight, wrong: list[str], moment: datetime) -> dict[str, Any]:
    return {
        "good": not wrong,
        "wrong": wrong,
        "at": at(moment),
        "overdue": [
            {"server": server, "reports": one.n, "since": at(one.since), "late_s": _s(one.since, moment)}
            for server, one in sorted(sight.late.items())
        ],
        "counted_at": at(sight.counted),
        "counts_age_s": _s(sight.counted, moment),
        "worked_at": at(sight.worked),
        "workers": [{"holder": one.holder, "until": at(one.until), "lives": one.lives} for one in sight.workers],
    }


def _s(then: datetime | None, moment: datetime) -> int | None:
    return None if then is None else max(0, round((moment - then).total_seconds()))


def _print(sight: Sight, wrong: list[str], moment: datetime) -> None:
    out.print("the tower is not at work as it should be:" if wrong else OK, style="bold red" if wrong else "green")
    for words in wrong:
        out.print(plain(words), style="red", markup=False)
    for server, one in sorted(sight.late.items()):
        out.print(plain(f"due at {server}: {one.n}, the first {span(moment - one.since)} ago"), markup=False)
    if not sight.late:
        out.print("no report to PanDA is due")
    if sight.counted:
        out.print(f"jobs were counted {span(moment - sight.counted)} ago")
    for worker in sight.workers:
        when = "at work" if worker.until > moment else f"last at work {span(moment - worker.until)} ago"
        out.print(plain(f"{worker.words}: {when}"), markup=False)
