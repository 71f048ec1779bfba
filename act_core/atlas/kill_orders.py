"""PanDA's kill orders: what its books bear out is a wish of the jobs' owner, the rest passes the brake (rule 9).

PanDA says `tobekilled` of what somebody killed, and just so of what it does not know (panda.md 3.3): a task that was
killed, and a server that lost its memory, sound alike. So it is asked a second question: does it know these jobs?
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.atlas.books import Booked, Change
from act_core.atlas.panda_client import PandaClient
from act_core.db import brakes
from act_core.db.brakes import QUEUE, Kind, Numbers, Weighed
from act_core.db.panda_models import PandaRow
from act_core.engine.brake import weigh
from act_core.errors import ActError
from act_core.logs import log
from act_core.settings.policy import Brake
from act_core.states import PANDA_FINAL, UNBOUND, PandaState

logger = log(__name__)
_OPEN = tuple(sorted(state.value for state in PandaState if state not in PANDA_FINAL))
PERIOD = 0.6  # of the quiet time, which is two heartbeats: within it each order that stands is given once
Changes = Mapping[Booked, Change]
New = list[tuple[int, Weighed]]  # brakes that have gone on


@dataclass(slots=True)
class Weighing:
    """What becomes of a batch of answers."""

    changes: dict[Booked, Change]
    held: int = 0
    new: New = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Terms:
    """The policy, and for how long PanDA must not have said so again before the brake ends by itself."""

    policy: Brake
    quiet: timedelta


def ordered(row: Booked, change: Change) -> bool:
    """Whether PanDA's word ends this job."""
    if change.to is PandaState.TOKILL:
        return True
    return row.state in UNBOUND and change.to is PandaState.TOREPORT


async def borne_out(panda: PandaClient, changes: Changes) -> frozenset[Booked]:
    """The orders for jobs that PanDA has in its books, with this attempt or a later one. Asks only if there are any."""
    rows = [row for row, change in changes.items() if ordered(row, change)]
    if not rows:
        return frozenset()
    try:
        said = await panda.get_job_status([row.panda_id for row in rows])
    except ActError as err:
        logger.warning("PanDA does not say whether it knows the %d jobs that it wants dead: %s", len(rows), err)
        return frozenset()
    known = {one.panda_id: one.attempt_nr for one in said.values() if one.known}
    return frozenset(row for row in rows if known.get(row.panda_id, -1) >= row.attempt_nr)


def weighed(
    session: Session,
    changes: Changes,
    meant: Collection[Booked],
    instead: Callable[[Booked], Change],
    terms: Terms,
    now: datetime,
) -> Weighing:
    """The changes that may be written; held orders are replaced. No statement where PanDA orders nothing.

    `meant`: orders that nobody weighs.
    """
    found = Weighing(dict(changes))
    orders: dict[tuple[str, str], list[Booked]] = {}
    for row, change in changes.items():
        if row not in meant and ordered(row, change):
            orders.setdefault((f"panda:{row.server}", row.queue), []).append(row)
    for source in sorted({source for source, _ in orders}):
        by_queue = {queue: rows for (said_by, queue), rows in orders.items() if said_by == source}
        server = source.removeprefix("panda:")
        for row in held(session, source, server, by_queue, terms, found.new, now):
            found.changes[row] = instead(row)
            found.held += 1
    return found


def held(
    session: Session,
    source: str,
    server: str,
    orders: Mapping[str, Sequence[Booked]],
    terms: Terms,
    new: New,
    now: datetime,
) -> list[Booked]:
    """The orders of one source for jobs of a server, by queue, that are not obeyed now; `new`: brakes that go on."""
    brakes.alone(session)
    living = _living(session, server, orders)
    known = brakes.queue_numbers(session, living, Kind.KILL, source, now - terms.policy.window, now)
    kept: list[Booked] = []
    struck: Counter[str] = Counter()
    for queue, rows in orders.items():
        rest = _unreleased(session, QUEUE + queue, rows, known)
        too_many = weigh(len(rest), Kind.KILL, QUEUE + queue, source, known, terms.policy) if rest else None
        if too_many is None:
            struck[QUEUE + queue] += len(rest)
            continue
        kept += rest
        if brake := brakes.engage(session, too_many, terms.quiet, now, {}, PERIOD * terms.quiet):
            new.append((brake, too_many))
    brakes.strike(session, struck, Kind.KILL, source, now)
    return kept


def _unreleased(session: Session, scope: str, rows: Sequence[Booked], known: Numbers) -> Sequence[Booked]:
    """What no release of the brake lets through."""
    brake, left = known.left.get(scope, (0, 0))
    if let_go := rows[:left]:
        brakes.passed(session, brake, len(let_go))
    return rows[left:]


def _living(session: Session, server: str, queues: Mapping[str, Sequence[Booked]]) -> dict[str, int]:
    question = select(PandaRow.queue, func.count()).where(PandaRow.state.in_(_OPEN), PandaRow.queue.in_(sorted(queues)))
    mine = question.where(PandaRow.server == server).group_by(PandaRow.queue)
    return dict.fromkeys(queues, 0) | dict(session.execute(mine).tuples().all())
