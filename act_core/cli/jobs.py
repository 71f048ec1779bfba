"""`act jobs`: jobs without PanDA, and what becomes of any job."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from act_core.ce.arc_adl import activity
from act_core.ce.descriptions import read_descriptions
from act_core.ce.xrsl_writer import written
from act_core.cli.context import check_known, database, now, settings, text_of
from act_core.cli.out import err, out, plain, print_json, table
from act_core.cli.stories import brief, meant, story, summary
from act_core.cli.try_job import try_
from act_core.db import ces as ce_rows
from act_core.db import listing, wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import new_key
from act_core.db.bootstrap import tower_id
from act_core.db.ces import HAND
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.errors import BadInput, ConfigError
from act_core.ids import SubmissionKey
from act_core.jobspec import JobSpec
from act_core.manual import NAME
from act_core.settings import Settings
from act_core.states import CeState, Request

app = typer.Typer(help="Add, list, show, try and steer jobs.", no_args_is_help=True)
app.command("try")(try_)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Ids = Annotated[
    list[str],
    typer.Argument(help="job ids (of PanDA jobs: PandaIDs), submission keys, or ids on the CE", metavar="ID…"),
]


def _candidates(held: Settings, db: Database, ces: list[str]) -> frozenset[str]:
    """The CEs that may get a job: the ones asked for, or all that are configured or were added by hand."""
    known = {*held.arc.sites, *(row.name for row in db.read(ce_rows.all_ces) if row.origin == HAND)}
    unknown = sorted(set(ces) - known)
    if unknown:
        raise ConfigError(
            f"no CE {', '.join(unknown)} in the configuration; there are {', '.join(sorted(known)) or 'none'}"
        )
    if not known:
        raise ConfigError("no CE is configured: name one under sites in aCTConfigARC.yaml, or `act ces add` one")
    return frozenset(ces or known)


def _described(file: Path) -> list[JobSpec]:
    return read_descriptions(text_of(file), file)


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="job descriptions: YAML, xRSL or ADL", metavar="FILE…")],
    ce: Annotated[list[str] | None, typer.Option(help="a candidate CE; repeat it for several. Default: all")] = None,
    share: Annotated[str, typer.Option(help="the share that the jobs count for")] = "",
    json: Json = False,
) -> None:
    """Add the jobs that the files describe. All or none of them are added."""
    held = settings()
    with database(held) as db:
        ces = _candidates(held, db, ce or [])
        specs = [spec for file in files for spec in _described(file)]
        tower = db.read(tower_id)
        jobs = [NewJob(NAME, new_key(tower)[-12:], spec, ces, held.arc.jobs.attempts, share) for spec in specs]
        db.write(add_jobs, tower, jobs, now())
    if json:
        print_json([{"id": job.app_job_id, "name": job.spec.name, "ces": sorted(ces)} for job in jobs])
        return
    for job in jobs:
        out.print(job.app_job_id)


@app.command("list")
def list_(
    state: Annotated[list[CeState] | None, typer.Option(help="only in this state; can be repeated")] = None,
    ce: Annotated[list[str] | None, typer.Option(help="only at this CE; can be repeated")] = None,
    of: Annotated[str | None, typer.Option("--app", help="only of this application")] = None,
    attempts: Annotated[bool, typer.Option("--attempts", help="every attempt, not only the newest of a job")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    json: Json = False,
) -> None:
    """List jobs, the newest first."""
    wanted = Filter(app=of, ces=tuple(ce or ()), states=tuple(state or ()), newest=not attempts)
    held = settings()
    with database(held) as db:
        check_known(wanted.ces, {*held.arc.sites, *(row.name for row in db.read(ce_rows.all_ces))})
        rows = [summary(row) for row in db.read(listing.jobs, wanted, limit)]
    if json:
        print_json(rows)
        return
    if not rows:
        out.print("no jobs")
        return
    lines = [{key: str(value or "") for key, value in row.items()} for row in rows]
    short = [line | {"since": brief(line["since"], now()), "error": line["error"][:60]} for line in lines]
    shown = ("id", "app", "attempt", "ce", "state", "wish", "since", "error")
    table(["CE" if name == "ce" else name for name in shown], [[line[n] for n in shown] for line in short])
    if len(rows) == limit:
        err.print(f"the newest {limit}; `--limit` shows more")


class Language(StrEnum):
    XRSL = "xrsl"
    ADL = "adl"


@app.command()
def show(
    ids: Ids,
    language: Annotated[
        Language | None, typer.Option("--as", help="its newest description instead, in this language of ARC")
    ] = None,
    of: Annotated[str | None, typer.Option("--app", help="of this application, where several have the id")] = None,
    json: Json = False,
) -> None:
    """Show a job's whole story: attempts, events, where its outputs lie."""
    held = settings()
    with database(held) as db:
        stories = [story(db, held, one, of) for one in ids]
    if language is not None:
        for told in stories:
            out.print(plain(_in_words(told, language)), markup=False)
        return
    if json:
        print_json(stories)
        return
    for told in stories:
        _print_story(told)


SHOWN = (
    "key",
    "remote_id",
    "native_state",
    "wish",
    "exit_code",
    "wall_s",
    "cpu_s",
    "node",
    "batch_id",
    "error",
    "outputs",
)


def _in_words(told: dict[str, Any], language: Language) -> str:
    """What a job asks for; of ADL what an ARC CE reads, but for the delegation. Raises BadInput."""
    if told["description"] is None:
        raise BadInput(f"the description of job {told['id']} is no longer kept")
    spec = JobSpec.model_validate(told["description"])
    if language is Language.XRSL:
        return written(spec)
    return activity(spec, SubmissionKey(told["attempts"][-1]["key"]), None, two_phase=True)


def _print_story(told: dict[str, Any]) -> None:
    out.print(f"[bold]{told['id']}[/bold] ({told['app']}) {told['name']}   candidates: {', '.join(told['candidates'])}")
    for one in told["logs"]:
        out.print(f"  {one['log']:6} {one['url']}   {one['file']}", highlight=False, soft_wrap=True, markup=False)
    for attempt in told["attempts"]:
        out.print(
            f"\nattempt {attempt['attempt']}: [bold]{attempt['state']}[/bold] at {attempt['ce'] or '(no CE yet)'}"
        )
        for key in SHOWN:
            if attempt[key] is not None:
                out.print(f"  {key:12} {attempt[key]}", highlight=False)
        for event in attempt["events"]:
            out.print(f"  [dim]{event['at']}[/dim] {event['from']} → {event['to']}  {event['reason']}", highlight=False)


def _wish(ids: list[str], request: Request, of: str, json: bool, *, release: bool = False, force: bool = False) -> None:
    held = settings()
    with database(held) as db:
        at = db.clock()
        ids = [meant(db, held, one) for one in ids]
        found = db.read(listing.jobs, Filter(ids=tuple(ids), app=of), 100_000)
        named = {one for row in found for one in (row.app_job_id, row.submission_key, row.remote_id)}
        jobs = [row.app_job_id for row in found]
        answers = dict(db.write(wishes.wish, of, jobs, request, at, force=force))
        if release:
            db.write(wishes.release, of, jobs, at)
        missing = [one for one in ids if one not in named]
        others = db.read(listing.jobs, Filter(ids=tuple(missing)), len(missing)) if missing else []
    if json:
        print_json(answers | dict.fromkeys(missing, "unknown"))
    else:
        for one, answer in answers.items():
            out.print(f"{one}: {_said(answer)}")
    if missing:
        elsewhere = "".join(f"; {row.app_job_id} is of {row.app}: --app {row.app}" for row in others)
        raise BadInput(f"no open job of {of} with id {', '.join(missing)}{elsewhere}")
    if any(answer != request for answer in answers.values()):
        raise typer.Exit(1)


_TO_BE = {
    Request.FETCH: "its outputs are to come home",
    Request.RERUN: "its CE is to restart it",
    Request.RESUBMIT: "a new attempt is to be made",
    Request.CANCEL: "it is to be killed",
    Request.CLEAN: "it is to be removed from its CE",
}


def _said(answer: str) -> str:
    """What became of a wish, for people."""
    stronger = answer.removeprefix(f"{wishes.KEPT}: ")
    if stronger != answer:
        return f"not done: {_TO_BE[Request(stronger)]}, and that goes first; ask again afterwards (`act jobs show`)"
    return _TO_BE[Request(answer)] if answer in _TO_BE else answer


Of = Annotated[str, typer.Option("--app", help="the application that the jobs belong to")]


@app.command()
def cancel(ids: Ids, of: Of = NAME, json: Json = False) -> None:
    """Kill jobs; one that was not sent is not sent. Exit 1: some are not."""
    _wish(ids, Request.CANCEL, of, json)


@app.command()
def fetch(ids: Ids, of: Of = NAME, json: Json = False) -> None:
    """Bring outputs home, again or of a failed job. Exit 1: some are not."""
    _wish(ids, Request.FETCH, of, json)


@app.command()
def rerun(ids: Ids, of: Of = NAME, json: Json = False) -> None:
    """Let the CE restart failed jobs where they failed. Exit 1: some are not."""
    _wish(ids, Request.RERUN, of, json)


@app.command()
def resubmit(
    ids: Ids,
    of: Of = NAME,
    force: Annotated[
        bool, typer.Option("--force", help="lost jobs, too: their CE may still run them, so that they may run twice")
    ] = False,
    json: Json = False,
) -> None:
    """Make new attempts; what still lives is killed first. Exit 1: of some none is made."""
    _wish(ids, Request.RESUBMIT, of, json, force=force)


@app.command()
def clean(ids: Ids, of: Of = NAME, json: Json = False) -> None:
    """Remove jobs from their CE and, an hour later, from the lists. Fetched outputs stay."""
    _wish(ids, Request.CLEAN, of, json, release=True)
