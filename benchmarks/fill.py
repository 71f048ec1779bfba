"""Fill the configured state tables with a tower's life of some weeks, to look at pages and to measure.

`python -m benchmarks.fill --live 100000 --archived 900000`. Only a database without jobs is filled; it is named by the
configuration ($ACTCONFIGARC, $ACT_STATE_DIR), and its tables are made if there are none.
"""

import argparse
import sys
from contextlib import closing

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob, CeJobArchive
from act_core.db.session import Database
from act_core.errors import ActError, ConfigError
from act_core.settings import Settings, load_settings
from benchmarks.filling import fill
from benchmarks.invented import Plan

PARTS = 24  # tables and steps that are told of


def asked_plan(parser: argparse.ArgumentParser) -> None:
    """The options that say how much there is."""
    held = Plan()
    for name, what in (
        ("live", "attempts in the hot table"),
        ("archived", "attempts at rest"),
        ("ces", "computing elements"),
        ("queues", "PanDA queues"),
        ("days", "that the archive reaches back"),
        ("seed", "the same one makes the same rows"),
    ):
        default = getattr(held, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what}; default: {default}")


def plan_of(asked: argparse.Namespace) -> Plan:
    return Plan(asked.live, asked.archived, asked.ces, asked.queues, asked.days, asked.seed)


def _any(session: Session, table: type[CeJob] | type[CeJobArchive]) -> bool:
    return session.execute(select(table.id).limit(1)).first() is not None


def filled(settings: Settings) -> bool:
    """Whether there are jobs; makes the tables if there are none."""
    with closing(Database(settings)) as db:
        bootstrap(db, db.clock())
        return db.read(_any, CeJob) or db.read(_any, CeJobArchive)


def fill_tables(settings: Settings, plan: Plan) -> None:
    """Raises ConfigError if there are jobs already."""
    with closing(Database(settings)) as db:
        now = db.clock()
        bootstrap(db, now)
        for table in (CeJob, CeJobArchive):
            if db.read(_any, table):
                raise ConfigError(f"{table.__tablename__} has jobs: only an empty database is filled; name another")
        columns = (
            TextColumn("{task.description:20}"),
            BarColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("begins", total=PARTS, rows="")

            def say(what: str, n: int) -> None:
                progress.update(bar, advance=1, description=what, rows=f"{n} rows")

            fill(db, plan, now, say)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked_plan(parser)
    asked = parser.parse_args()
    try:
        fill_tables(load_settings().settings, plan_of(asked))
    except ActError as err:
        sys.stderr.write(f"{err}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
