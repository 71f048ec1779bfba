"""`act simple`: campaigns of many jobs of one kind."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from act_core.cli.context import candidates, database, now, settings, text_of
from act_core.cli.out import out, plain, print_json, table
from act_core.db.bootstrap import tower_id
from act_core.errors import BadInput, ConfigError
from act_core.monitor.times import at, brief
from act_core.settings import Settings
from act_core.simple import book, campaign
from act_core.simple.book import Told
from act_core.simple.options import directory_of
from act_core.simple.tables import NAME, OVER, Job, JobState
from act_core.states import Request

app = typer.Typer(help="Campaigns: many jobs of one kind, from a file or a directory.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Name = Annotated[str, typer.Argument(help="the campaign's name", metavar="CAMPAIGN")]
LIVING = tuple(state for state in JobState if state not in OVER)


def _held() -> Settings:
    held = settings()
    if NAME not in held.app.modules.app:
        where = held.where("modules.app")
        raise ConfigError(f"{where}: modules.app: add {NAME!r} to it, and run `act bootstrap`, which makes its tables")
    return held


@app.command()
def submit(
    source: Annotated[
        Path, typer.Argument(help="a campaign's file, or a directory of descriptions", metavar="CAMPAIGN")
    ],
    ce: Annotated[list[str] | None, typer.Option(help="a candidate CE; repeat it for several. Default: all")] = None,
    name: Annotated[str | None, typer.Option(help="the campaign's name, instead of the one that is written")] = None,
    resubmissions: Annotated[
        int | None, typer.Option(min=0, max=100, help="how often a failed job is tried again")
    ] = None,
    json: Json = False,
) -> None:
    """Add a campaign. All of its jobs are added or none."""
    held = _held()
    plan = campaign.read_directory(source) if source.is_dir() else campaign.read_file(text_of(source), source)
    given = {"name": name, "resubmissions": resubmissions, "ces": tuple(ce) if ce else None}
    plan = plan.model_copy(update={key: value for key, value in given.items() if value is not None})
    directory = directory_of(held, campaign.good_name(plan.name), plan.directory)
    if directory.exists() and any(directory.iterdir()):
        raise BadInput(f"{directory} has something in it: name another `directory`, or another campaign")
    with database(held) as db:
        ces = candidates(held, db, plan.ces)
        db.write(book.add, db.read(tower_id), plan, ces, directory, now())
    if json:
        print_json({"campaign": plan.name, "jobs": len(plan.specs), "directory": directory, "ces": sorted(ces)})
        return
    out.print(f"{plan.name}: {len(plan.specs)} jobs; their results will be in {directory}/<number>", markup=False)


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="those that were put away, too")] = False, json: Json = False
) -> None:
    """List campaigns, the newest first."""
    held = _held()
    with database(held) as db:
        found = db.read(book.campaigns, every)
    if json:
        print_json([_summary(one) for one in found])
        return
    if not found:
        out.print("no campaigns")
        return
    rows = [
        [one.campaign.name, one.state, str(one.campaign.jobs), *_ends(one), brief(at(one.campaign.created), now())]
        for one in found
    ]
    table(["campaign", "", "jobs", *(state.value for state in JobState), "since"], rows)


def _ends(one: Told) -> list[str]:
    return [str(one.jobs.get(state, "")) for state in JobState]


def _summary(one: Told) -> dict[str, Any]:
    row = one.campaign
    counts = {state.value: one.jobs.get(state, 0) for state in JobState}
    times = {key: at(getattr(row, key)) for key in ("created", "ended_at", "archived_at")}
    return {"campaign": row.name, "state": one.state, "jobs": row.jobs, **counts, "directory": row.directory, **times}


def _line(job: Job) -> dict[str, Any]:
    return {
        "number": job.number,
        "id": job.app_job_id,
        "state": job.state,
        "attempts": job.attempts,
        "outputs": job.outputs,
        "error": job.error,
    }


@app.command()
def show(
    name: Name,
    state: Annotated[list[JobState] | None, typer.Option(help="only jobs in this state; can be repeated")] = None,
    json: Json = False,
) -> None:
    """Show a campaign's jobs, and where their results lie. Of one job: `act jobs show CAMPAIGN.NUMBER`."""
    held = _held()
    with database(held) as db:
        told = db.read(book.campaign, name)
        jobs = [_line(job) for job in db.read(book.jobs_of, name, tuple(state or JobState))]
    if json:
        print_json(_summary(told) | {"members": jobs})
        return
    words = ", ".join(f"{n} {one.value}" for one, n in told.jobs.items())
    out.print(f"{name}: {told.state}, {words or 'no jobs'}; results in {told.campaign.directory}", markup=False)
    columns = ("number", "state", "attempts", "outputs", "error")
    if jobs:
        table(columns, [[str(job[key] if job[key] is not None else "")[:120] for key in columns] for job in jobs])


@app.command()
def cancel(name: Name, json: Json = False) -> None:
    """Kill the jobs of a campaign that are not over. Exit 1: some are not."""
    held = _held()
    with database(held) as db:
        said = db.write(book.steer, name, Request.CANCEL, LIVING, db.clock())
    _tell(said, Request.CANCEL, "to be killed", json)


@app.command()
def resubmit(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="lost jobs, too: their CE may still run them, so that they may run twice")
    ] = False,
    json: Json = False,
) -> None:
    """Try the failed and the cancelled jobs of a campaign once more. Exit 1: of some nothing is made."""
    held = _held()
    with database(held) as db:
        again = (JobState.FAILED, JobState.CANCELLED)
        said = db.write(book.steer, name, Request.RESUBMIT, again, db.clock(), force)
    _tell(said, Request.RESUBMIT, "to be tried again", json)


@app.command()
def clean(
    name: Name,
    outputs: Annotated[bool, typer.Option("--outputs", help="delete its results, too: only when it is over")] = False,
    json: Json = False,
) -> None:
    """Be done with a campaign: what lives is cancelled, CEs are cleaned, its jobs leave the lists. Results stay."""
    held = _held()
    with database(held) as db:
        told = db.read(book.campaign, name)
        living = sum(told.jobs.get(state, 0) for state in LIVING)
        if outputs and living:
            raise BadInput(f"{name}: {living} of its jobs are not over: `act simple cancel {name}`, and wait for them")
        db.write(book.clean, name, db.clock())
    if outputs:
        shutil.rmtree(told.campaign.directory, ignore_errors=True)
    if json:
        print_json({"campaign": name, "deleted": told.campaign.directory if outputs else None})
        return
    out.print(
        f"{name} is cleaned; its results are {'deleted' if outputs else 'in ' + told.campaign.directory}", markup=False
    )


def _tell(said: Mapping[str, str], request: Request, words: str, json: bool) -> None:
    granted = sum(answer == request.value for answer in said.values())
    if json:
        print_json(said)
    else:
        out.print(f"{granted} jobs are {words}")
        for job, answer in said.items():
            if answer != request.value:
                out.print(plain(f"{job}: {answer}"), markup=False)
    if granted < len(said):
        raise typer.Exit(1)
