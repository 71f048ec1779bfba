"""`act jobs cancel|fetch|rerun|resubmit|clean`: of jobs that are named, or of all that a filter finds."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import database, now, settings
from act_core.cli.job_filters import Asked, filter_of, filtered
from act_core.cli.job_words import meant
from act_core.cli.out import out, plain, print_json, table, warn
from act_core.db import audit, listing, wishes
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.deeds.jobs import MOST, Acted, Preview, act_on_jobs, preview, refused
from act_core.errors import BadInput
from act_core.manual import NAME
from act_core.settings import Settings
from act_core.states import Request

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        help="job ids (of PanDA jobs: PandaIDs), submission keys, or ids on the CE; or a filter finds them",
        metavar="[ID…]",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="tell how many and which, and change nothing")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask before jobs that a filter found are touched")]
Limit = Annotated[int, typer.Option(min=1, max=MOST, help="so many at most, the oldest ones first")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Force = Annotated[
    bool, typer.Option("--force", help="lost jobs, too: their CE may still run them, so that they may run twice")
]
SAYS: Mapping[Request, str] = {
    Request.CANCEL: "Kill jobs; one that was not sent is not sent. A PanDA job fails in PanDA, which may try it anew.",
    Request.FETCH: "Bring outputs home, again or of failed jobs.",
    Request.RERUN: "Let the CE restart failed jobs where they failed.",
    Request.RESUBMIT: "Make new attempts; what still lives is killed first.",
    Request.CLEAN: "Remove jobs from their CE and, an hour later, from the lists. Fetched outputs stay.",
}
BULK = (
    "Several filters have to hold together, and --dry-run tells what they find. Without --yes it is asked first. "
    "Exit 1: of some jobs it is not done."
)
_TO_BE = {
    Request.FETCH: "its outputs are to come home",
    Request.RERUN: "its CE is to restart it",
    Request.RESUBMIT: "a new attempt is to be made",
    Request.CANCEL: "it is to be killed",
    Request.CLEAN: "it is to be removed from its CE",
}


def add_to(app: typer.Typer) -> None:
    """Register a command a request."""
    for request, words in SAYS.items():
        app.command(request.value, help=f"{words}\n\n{BULK}")(_command(request))


def _command(request: Request) -> Callable[..., None]:
    def command(
        ids: Ids = None,
        force: Force = False,
        dry_run: DryRun = False,
        yes: Yes = False,
        limit: Limit = MOST,
        json: Json = False,
        *,
        asked: Asked,
    ) -> None:
        _act(request, ids or [], asked, dry_run=dry_run, yes=yes, limit=limit, force=force, json=json)

    return filtered(command, without=() if request is Request.RESUBMIT else ("force",))


def _act(
    request: Request, ids: list[str], asked: Asked, *, dry_run: bool, yes: bool, limit: int, force: bool, json: bool
) -> None:
    held = settings()
    with database(held) as db:
        if ids and not asked.narrows:
            asked = replace(asked, app=asked.app or NAME)
        if ids and not asked.narrows and not dry_run:
            _named(db, held, ids, request, asked.app or NAME, force=force, json=json)
        else:
            _bulk(db, filter_of(db, held, asked, ids), request, dry_run, yes, limit, force, json)


def _bulk(
    db: Database, wanted: Filter, request: Request, dry_run: bool, yes: bool, limit: int, force: bool, json: bool
) -> None:
    try:
        found = db.read(preview, wanted, limit)
        if found.n < min(limit, len(wanted.ids)):
            warn(f"{len(wanted.ids)} ids are named, and {found.n} open jobs match")
    except BadInput as err:
        if wanted.narrows:
            refused(db, actor(), request, wanted, str(err), now())
        raise
    if dry_run or not found.n:
        _tell_preview(found, request, json=json)
        return
    if not yes:
        _confirm(db, found, request, wanted, json=json)
    acted = act_on_jobs(db, actor(), wanted, request, db.clock(), force=force, among=found.ids, limit=limit)
    _tell(acted, found, request, json=json)
    if acted.granted < found.n:
        raise typer.Exit(1)


def _confirm(db: Database, found: Preview, request: Request, wanted: Filter, *, json: bool) -> None:
    """Go on only at a person's word. Raises BadInput where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = f"{request} of {found.n} jobs: nobody is here to be asked; --yes does it, --dry-run tells which"
        refused(db, actor(), request, wanted, why, now())
        raise BadInput(why)
    if not json:
        _tell_preview(found, request, json=False)
    if not typer.confirm(f"{request} {found.n} jobs?", err=True):
        out.print("nothing was done")
        raise typer.Exit(1)


def _preview_json(found: Preview) -> dict[str, Any]:
    by = [{"app": app, "ce": ce or None, "state": state, "n": n} for app, ce, state, n in found.counts]
    return {"matched": found.n, "counts": by, "first": list(found.first)}


def _tell_preview(found: Preview, request: Request, *, json: bool) -> None:
    if json:
        print_json(_preview_json(found) | {"request": request.value, "dry_run": True, "granted": 0})
        return
    if found.n:
        table(("app", "CE", "state", "jobs"), [(app, ce, state, str(n)) for app, ce, state, n in found.counts])
        more = ", …" if found.n > len(found.first) else ""
        out.print(plain(f"{found.n} jobs, the oldest ones: {', '.join(found.first)}{more}"), markup=False)
    else:
        out.print("no jobs: nothing to do")


def _tell(acted: Acted, found: Preview, request: Request, *, json: bool) -> None:
    if json:
        said = {"request": request.value, "dry_run": False, "granted": acted.granted}
        print_json(_preview_json(found) | said | {"answers": dict(acted.answers), "not_done": acted.examples})
        return
    out.print(f"{request}: wished for {acted.granted} of {found.n} jobs", highlight=False)
    gone = found.n - acted.asked
    if gone > 0:
        out.print(f"{gone} of them are not as the filter wants any more", highlight=False)
    for job, answer in acted.examples.items():
        out.print(plain(f"{job}: {said_of(answer)}"), markup=False, highlight=False)


def _named(
    db: Database, held: Settings, ids: list[str], request: Request, of: str, *, force: bool, json: bool
) -> None:  # fmt: skip
    """Jobs of one application, by their ids: nobody is asked, and each answer is told."""
    at = db.clock()
    ids = [meant(db, held, one) for one in ids]
    found = db.read(listing.jobs, Filter(ids=tuple(ids), app=of), 100_000)
    known = {one for row in found for one in (row.app_job_id, row.submission_key, row.remote_id)}
    jobs = [row.app_job_id for row in found]
    answers = dict(db.write(_wish, of, jobs, request, at, force)) if jobs else {}
    missing = [one for one in ids if one not in known]
    others = db.read(listing.jobs, Filter(ids=tuple(missing)), len(missing)) if missing else []
    if json:
        print_json(answers | dict.fromkeys(missing, "unknown"))
    else:
        for one, answer in answers.items():
            out.print(f"{one}: {said_of(answer)}")
    if missing:
        elsewhere = "".join(f"; {row.app_job_id} is of {row.app}: --app {row.app}" for row in others)
        raise BadInput(f"no open job of {of} with id {', '.join(missing)}{elsewhere}")
    if any(answer != request for answer in answers.values()):
        raise typer.Exit(1)


def _wish(session: Any, of: str, jobs: list[str], request: Request, at: Any, force: bool) -> Mapping[str, str]:
    answers = wishes.wish(session, of, jobs, request, at, force=force)
    if request is Request.CLEAN:
        wishes.release(session, of, jobs, at)
    subject = ", ".join(jobs)
    audit.note(session, actor(), f"jobs.{request}", subject, True, {"app": of, "answers": dict(answers)}, at)
    return answers


def said_of(answer: str) -> str:
    """What became of a wish, for people."""
    stronger = answer.removeprefix(f"{wishes.KEPT}: ")
    if stronger != answer:
        return f"not done: {_TO_BE[Request(stronger)]}, and that goes first; ask again afterwards (`act jobs show`)"
    return _TO_BE[Request(answer)] if answer in _TO_BE else answer
