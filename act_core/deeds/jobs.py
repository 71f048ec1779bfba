"""What an operator wants of many jobs at once: found by a filter, looked at first, wished for in chunks."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy.orm import Session

from act_core.db import audit, choosing, wishes
from act_core.db.audit import Actor
from act_core.db.bulk import chunks
from act_core.db.choosing import Chosen
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.states import Request

MOST = 100_000  # jobs of one bulk action
AT_ONCE = 1000  # of one transaction
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Preview:
    """What a bulk action would be about. `ids`: of the attempts, for `act_on_jobs(among=…)`."""

    n: int
    counts: tuple[tuple[str, str, str, int], ...]  # (app, CE, state, jobs), the most first
    first: tuple[str, ...]  # ids of the first ones
    ids: frozenset[int]


@dataclass(slots=True)
class Acted:
    """What became of it: how many by answer, as `wishes.wish` says it, and some that were not granted."""

    asked: int = 0
    granted: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # job → why not


def preview(session: Session, wanted: Filter, limit: int = MOST) -> Preview:
    """Raises BadInput for a filter that names nothing, and for one that more than `MOST` jobs match."""
    found = _found(session, wanted, limit)
    by = Counter((one.app, one.ce, one.state) for one in found)
    counts = tuple((*key, n) for key, n in sorted(by.items(), key=lambda item: (-item[1], item[0])))
    ids = frozenset(one.id for one in found)
    return Preview(len(found), counts, tuple(one.app_job_id for one in found[:EXAMPLES]), ids)


def act_on_jobs(
    db: Database,
    actor: Actor,
    wanted: Filter,
    request: Request,
    now: datetime,
    *,
    force: bool = False,
    among: Collection[int] | None = None,
    limit: int = MOST,
) -> Acted:
    """Wish this for the newest attempts that match now; `among`: only for those that a preview has shown.

    One transaction for each thousand jobs; the line of the audit is in the first one. `clean` also releases them.
    """
    found = db.read(_found, wanted, limit)
    if among is not None:
        found = [one for one in found if one.id in among]
    acted, facts = Acted(len(found)), wanted.words() | {"jobs": len(found), "force": force}
    noted = False
    for app, of_app in groupby(sorted(found, key=lambda one: (one.app, one.id)), key=lambda one: one.app):
        for some in chunks(of_app, AT_ONCE):
            line = None if noted else (actor, f"{len(found)} jobs", facts)
            _count(acted, db.write(_wish, app, some, request, now, force, line), request)
            noted = True
    return acted


def _wish(
    session: Session,
    app: str,
    some: Sequence[Chosen],
    request: Request,
    now: datetime,
    force: bool,
    line: tuple[Actor, str, Mapping[str, object]] | None,
) -> Mapping[str, str]:
    if line is not None:
        actor, subject, facts = line
        audit.note(session, actor, f"jobs.{request}", subject, True, facts, now)
    names, attempts = [one.app_job_id for one in some], {one.id for one in some}
    answers = wishes.wish(session, app, names, request, now, force=force, among=attempts)
    if request is Request.CLEAN:
        wishes.release(session, app, [job for job, answer in answers.items() if answer == request], now)
    return answers


def _count(acted: Acted, answers: Mapping[str, str], request: Request) -> None:
    acted.answers.update(answers.values())
    acted.granted += sum(answer == request for answer in answers.values())
    for job, answer in answers.items():
        if answer != request and len(acted.examples) < EXAMPLES:
            acted.examples[job] = answer


def refused(db: Database, actor: Actor, request: Request, wanted: Filter, why: str, now: datetime) -> None:
    """Write down a bulk action that was asked for and not done."""
    facts = wanted.words() | {"why": why}
    db.write(audit.note, actor, f"jobs.{request}", "jobs", False, facts, now)


def _found(session: Session, wanted: Filter, limit: int) -> list[Chosen]:
    if not wanted.narrows:
        raise BadInput(
            "a bulk action needs a filter: --state, --ce, --queue, --share, --older, --error, --ids, … "
            "(`act jobs list` takes the same and shows what they find)"
        )
    found = choosing.chosen(session, wanted, min(limit, MOST) + 1)
    if len(found) > MOST:
        raise BadInput(f"more than {MOST} jobs match: narrow the filter, or do some of them first with --limit")
    return found[:limit]
