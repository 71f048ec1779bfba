"""`act explain`: why a job or a CE is as it is, since when, what happens next, and what you can do."""

from dataclasses import replace
from typing import Annotated, NoReturn

import typer

from act_core.ce.registry import kinds
from act_core.cli.context import database, now, settings
from act_core.cli.job_words import meant
from act_core.cli.out import out, plain, print_json
from act_core.cli.past import At, explain_at
from act_core.db import ces as ce_rows
from act_core.db import explaining, ledger, operator_modes
from act_core.db.operator_modes import Kind
from act_core.db.session import Database
from act_core.deeds.modes import known_shares, queues_named
from act_core.errors import BadInput
from act_core.monitor.explain import Answer
from act_core.monitor.explain_ces import explain_ce, line_of
from act_core.monitor.explain_jobs import explain_job
from act_core.monitor.explain_over import explain_orphan
from act_core.monitor.explain_panda import unbound
from act_core.monitor.explain_read import read_ce, read_job, read_unbound
from act_core.monitor.explain_words import explain_name
from act_core.processes import standing
from act_core.reasons import Topic
from act_core.settings import Settings

DOWN = "No tower is up here: nothing happens before `act up`, but for what workers elsewhere do."
Subject = Annotated[
    str,
    typer.Argument(
        help="a CE's name, a job's id (of PanDA jobs: PandaID), its submission key, or its id on the CE",
        metavar="JOB|CE",
    ),
]
Anything = Annotated[
    str,
    typer.Argument(
        help="a CE, a PanDA queue or a share by its name; a job by its id (of PanDA jobs: PandaID), its submission "
        "key, or its id on the CE",
        metavar="JOB|CE|QUEUE",
    ),
]


def explain(
    subject: Anything, at: At = "", json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """Tell why a job, a CE or a queue is as it is, since when, what happens next, and what you can do.

    With --at: what was known of it then, and what happened to it next.
    """
    if at:
        explain_at(subject, at, json)
        return
    held = settings()
    with database(held) as db:
        answer = explained(db, held, subject)
        own = [line_of(row, now()) for row in db.read(ledger.standing) if row.topic in (Topic.CONFIG, Topic.DISK)]
    answer = replace(answer, tower=tuple(f"{part.why} {part.next} {part.do}" for part in own))
    if standing(held.state_dir) is None:
        answer = replace(answer, next=(DOWN, *answer.next))
    if json:
        print_json(answer.for_programs())
        return
    for line in answer.tower:
        out.print(plain(line), style="red", markup=False)
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
        return _by_name(db, subject)
    return explain_orphan(left, held.arc.reconcile, now())


def _by_name(db: Database, subject: str) -> Answer:
    """A PanDA queue or a share. Raises BadInput for what is neither."""
    words = db.read(operator_modes.standing, now())
    found = [one for (_, name), one in words.queues.items() if name == subject]
    found += [words.shares[subject]] if subject in words.shares else []
    found += [words.tower] if words.tower else []
    kinds_of = [
        *((Kind.QUEUE,) if db.read(queues_named, subject) else ()),
        *((Kind.SHARE,) if subject in db.read(known_shares) else ()),
    ]
    if not kinds_of:
        unknown(db, subject)
    return explain_name(subject, kinds_of, found, now())


def known_ces(db: Database) -> list[str]:
    return [row.name for row in db.read(ce_rows.all_ces)]


def unknown(db: Database, subject: str) -> NoReturn:
    """Raises BadInput with what there is."""
    raise BadInput(
        f"no CE and no job {subject!r}: a job is known by its id or PandaID, its submission key or its id on the CE "
        f"(`act jobs list`); the CEs are {', '.join(known_ces(db)) or 'none'}"
    )
