"""Calls for jobs whose answer was lost: PanDA's statistics tell how many jobs they can have reserved at most."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.atlas import asks, books
from act_core.atlas.asks import Ask
from act_core.atlas.books import HARVESTER
from act_core.atlas.instance import panda, server_of
from act_core.atlas.pauses import pauses
from act_core.atlas.reports import ActiveJobs, JobStatus
from act_core.db.panda_models import PandaAsk, PandaRow
from act_core.errors import ActError
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import PANDA_FINAL, PandaState

logger = log(__name__)
BATCH = 100
SETTLED = timedelta(minutes=3)  # PanDA's statistics are a minute old (panda.md 3.8)
KIND, FIRST_PAUSE = "lost answers", timedelta(seconds=30)
_OPEN = tuple(sorted(state.value for state in PandaState if state not in PANDA_FINAL))
Statistics = Mapping[str, Sequence[ActiveJobs]]


async def due(rt: Runtime) -> Sequence[str]:
    """One key, the server, while a call is unaccounted for and PanDA is not in trouble."""
    if pauses(rt).lasts(KIND, rt.now()):
        return []
    return [server_of(rt)] if await rt.read(asks.unlooked, server_of(rt), _before(rt), 1) else []


def _before(rt: Runtime) -> datetime:
    return rt.now() - rt.settings.app.panda.timeout - SETTLED


async def look(rt: Runtime, server: str) -> Counts:
    """One round: what PanDA can tell of lost answers is written down; what it has given up meanwhile stays as it is."""
    now = rt.now()
    rows = await rt.read(asks.unlooked, server, _before(rt), BATCH)
    found = {row.id: row.n for row in rows if row.until <= now}
    open_ones = [row for row in rows if row.until > now]
    try:
        found |= await _asked(rt, server, open_ones) if open_ones else {}
    except ActError:
        pauses(rt).begin(KIND, FIRST_PAUSE, now)
        raise
    if len(found) == len(rows):
        pauses(rt).end(KIND)
    else:  # a server without numbers
        pauses(rt).begin(KIND, FIRST_PAUSE, now)
    found = await rt.write(_settle, server, rows, found, now)
    for row in rows:
        if found.get(row.id):
            logger.warning("queue=%s up to %d jobs are reserved in PanDA, and lost", row.queue, found[row.id])
    return Counts({"lost_answers": len(found)} if found else {})


def _settle(
    session: Session, server: str, rows: Sequence[Ask], found: Mapping[int, int], now: datetime
) -> dict[int, int]:
    """Write what was found, without the jobs that have been booked since PanDA was asked."""
    session.execute(select(PandaAsk.id).where(PandaAsk.id.in_(found)).order_by(PandaAsk.id).with_for_update())
    have = {number for number, _ in books.known(session, server, {one for row in rows for one in row.panda_ids})}
    missing = {row.id: sum(one not in have for one in row.panda_ids) for row in rows if row.panda_ids}
    settled = {ask: min(n, missing.get(ask, n)) for ask, n in found.items()}
    asks.looked(session, settled, now)
    return settled


async def _asked(rt: Runtime, server: str, rows: Sequence[Ask]) -> dict[int, int]:
    named, nameless = [row for row in rows if row.panda_ids], [row for row in rows if not row.panda_ids]
    ids = {one for row in named for one in row.panda_ids}
    found: dict[int, int] = {}
    if ids:
        said = await panda(rt).get_job_status(ids)
        have = {number for number, _ in await rt.read(books.known, server, ids)}
        found |= {row.id: still_reserved(row, said, have) for row in named}
    if nameless and (statistics := await panda(rt).queue_statistics()):
        untold = await rt.read(_untold, server, {row.queue for row in nameless})
        found |= at_most(nameless, statistics, untold)
    return found


def still_reserved(row: Ask, said: Mapping[int, JobStatus], have: Collection[int]) -> int:
    """Of the jobs that came and were not booked, those that PanDA still keeps for us; silence says nothing."""
    return sum(one not in have and (one not in said or said[one].status == "sent") for one in row.panda_ids)


def at_most(rows: Sequence[Ask], statistics: Statistics, untold: Mapping[str, int]) -> dict[int, int]:
    """Jobs that each call may have reserved: a queue's `sent` ones that no row of ours accounts for, none twice."""
    left = Counter[str]()
    for queue, jobs in statistics.items():
        left[queue] = sum(one.count for one in jobs if one.status == "sent") - untold.get(queue, 0)
    found: dict[int, int] = {}
    for row in rows:
        found[row.id] = max(0, min(row.n, left[row.queue]))
        left[row.queue] -= found[row.id]
    return found


def _untold(session: Session, server: str, queues: Collection[str]) -> dict[str, int]:
    """Our jobs still `sent` in PanDA, by queue: it has taken no report of ours (a Harvester reports its own)."""
    of_queues = (PandaRow.state.in_(_OPEN), PandaRow.queue.in_(sorted(queues)), PandaRow.server == server)
    untold = PandaRow.told.is_(None), PandaRow.reporter != HARVESTER
    question = select(PandaRow.queue, func.count()).where(*of_queues, *untold)
    return dict(session.execute(question.group_by(PandaRow.queue)).tuples().all())
