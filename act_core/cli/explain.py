"""`act explain`: why a job or a CE is as it is, since when, what happens next, and what you can do."""

from dataclasses import replace
from typing import Annotated, NoReturn

import typer

from act_core.ce.registry import kinds
from act_core.cli.context import database, now, settings
from act_core.cli.out import out, plain, print_json
from act_core.cli.stories import meant
from act_core.db import ces as ce_rows
from act_core.db import explaining
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.monitor.explain import Answer
from act_core.monitor.explain_ces import explain_ce
from act_core.monitor.explain_jobs import explain_job
from act_core.monitor.explain_over import explain_orphan
from act_core.monitor.explain_panda import unbound
from act_core.monitor.explain_read import read_ce, read_job, read_unbound
from act_core.settings import Settings

DOWN = "No tower is up here: nothing happens before `act up`, but for what workers elsewhere do."
Subject = Annotated[
    str,
    typer.Argument(
        help="a CE's name, a job's id (of PanDA jobs: PandaID), its submission key, or its id on the CE",
        metavar="JOB|CE",
    ),
]


def explain(subject: Subject, json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Tell why a job or a CE is as it is, since when, what happens next, and what you can do."""
    from flows.supervise import standing

    held = settings()
    with database(held) as db:
        answer = explained(db, held, subject)
    if standing(held.state_dir) is None:
        answer = replace(answer, next=(DOWN, *answer.next))
    if json:
        print_json(answer.for_programs())
        return
    for line in answer.lines(now()):
        out.print(plain(line), markup=False)


def explained(db: Database, held: Settings, subject: str) -> Answer:
    """Raises BadInput for what is neither a CE nor a job."""
    db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
    back_ends = kinds()
    if subject in known_ces(db):
        return explain_ce(db.read(read_ce, held, subject, back_ends, now()), now())
    job = meant(db, held, subject)
    case = db.read(read_job, held, job, back_ends, now())
    if case is not None:
        return explain_job(case, now())
    story = db.read(read_unbound, held, job)
    if story is not None:
        return unbound(job, story, now())
    left = db.read(explaining.orphan, [subject])
    if left is None:
        unknown(db, subject)
    return explain_orphan(left, held.arc.reconcile, now())


def known_ces(db: Database) -> list[str]:
    return [row.name for row in db.read(ce_rows.all_ces)]


def unknown(db: Database, subject: str) -> NoReturn:
    """Raises BadInput with what there is."""
    raise BadInput(
        f"no CE and no job {subject!r}: a job is known by its id or PandaID, its submission key or its id on the CE "
        f"(`act jobs list`); the CEs are {', '.join(known_ces(db)) or 'none'}"
    )
