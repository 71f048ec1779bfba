"""`act jobs add`: jobs without PanDA."""

from pathlib import Path
from typing import Annotated

import typer

from act_core.ce.descriptions import read_descriptions
from act_core.cli.actor import noted
from act_core.cli.context import candidates, database, now, settings, text_of
from act_core.cli.out import out, print_json
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import new_key
from act_core.db.bootstrap import tower_id
from act_core.deeds.jobs import EXAMPLES
from act_core.jobspec import JobSpec
from act_core.manual import NAME

Json = Annotated[bool, typer.Option("--json", help="for programs")]


def _described(file: Path) -> list[JobSpec]:
    return read_descriptions(text_of(file), file)


def add(
    files: Annotated[list[Path], typer.Argument(help="job descriptions: YAML, xRSL or ADL", metavar="FILE…")],
    ce: Annotated[list[str] | None, typer.Option(help="a candidate CE; repeat it for several. Default: all")] = None,
    share: Annotated[str, typer.Option(help="the share that the jobs count for")] = "",
    json: Json = False,
) -> None:
    """Add the jobs that the files describe. All or none of them are added."""
    held = settings()
    with database(held) as db:
        ces = candidates(held, db, ce or [])
        specs = [spec for file in files for spec in _described(file)]
        tower = db.read(tower_id)
        jobs = [NewJob(NAME, new_key(tower)[-12:], spec, ces, held.arc.jobs.attempts, share) for spec in specs]
        db.write(add_jobs, tower, jobs, now())
        first = [job.app_job_id for job in jobs[:EXAMPLES]]
        noted(db, "jobs.add", f"{len(jobs)} jobs", {"ces": sorted(ces), "share": share, "first": first})
    if json:
        print_json([{"id": job.app_job_id, "name": job.spec.name, "ces": sorted(ces)} for job in jobs])
        return
    for job in jobs:
        out.print(job.app_job_id)
