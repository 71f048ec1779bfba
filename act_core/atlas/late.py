"""Jobs of which PanDA has not taken a report for too long, and of which of them the tower may say that they go on.

The normal sender reports them; nothing is ever said of a job whose CE nobody has heard of lately.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from act_core.atlas import books
from act_core.atlas.books import HARVESTER, Booked, Change, app_of
from act_core.atlas.heartbeat import BATCH
from act_core.atlas.instance import server_key
from act_core.db import ces
from act_core.db.bulk import chunks
from act_core.db.models import Ce, CeJob
from act_core.db.panda_models import PandaRow
from act_core.engine.looks import looked, recent
from act_core.monitor.times import span
from act_core.settings.model import Settings
from act_core.states import ENDED, FINAL, CeState, PandaState

TOWER = "tower"  # the reporter
SPOKEN_OF = (
    PandaState.SENT,
    PandaState.STARTING,
    PandaState.RUNNING,
    PandaState.TRANSFERRING,
    PandaState.TOVALIDATE,
    PandaState.TOREPORT,
)
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a job's newest attempt."""

    state: CeState
    ce: str | None
    absent_since: datetime | None


@dataclass(frozen=True, slots=True)
class Late:
    """A job, how long PanDA has heard nothing, and whether the tower may speak of it; `why`, or why not."""

    row: Booked
    since: datetime
    speaks: bool
    why: str


def longest(held: Settings) -> timedelta:
    """Without another word: reports come within one interval, so that this is too long."""
    return 1.5 * held.app.panda.heartbeattime


def late(session: Session, held: Settings, allowed: timedelta, now: datetime) -> list[Late]:
    """The late jobs of this instance's server, by id."""
    ids = [one for state in SPOKEN_OF for one in _late_in(session, state, server_key(held), now - allowed)]
    rows = [
        row for some in chunks(sorted(ids)) for row in books.picked(session, PandaRow.id.in_(some), limit=len(some))
    ]
    attempts = _attempts(session, app_of(held), [row.app_job_id for row in rows])
    known = {row.name: row for row in ces.all_ces(session)} if rows else {}
    return [_judged(row, attempts, known, held, now) for row in rows]


def _late_in(session: Session, state: PandaState, server: str, since: datetime) -> Sequence[int]:
    """A state at a time, and without an order: so SQLite, too, finds them by its index, and reads no closed rows."""
    where = (
        PandaRow.state == state.value,
        PandaRow.server == server,
        PandaRow.reporter != HARVESTER,
        or_(PandaRow.heartbeat_due_at.is_not(None), PandaRow.reporter == TOWER),
        func.coalesce(PandaRow.told_at, PandaRow.created) < since,
    )
    return session.scalars(select(PandaRow.id).where(*where).limit(_MOST)).all()


def _attempts(session: Session, app: str, ids: Collection[str]) -> dict[str, Held]:
    """The newest attempts of these jobs."""
    columns = (CeJob.app_job_id, CeJob.state, CeJob.ce, CeJob.absent_since)
    found: dict[str, Held] = {}
    for chunk in chunks(ids):
        of_job = CeJob.app == app, CeJob.app_job_id.in_(chunk), CeJob.superseded_by.is_(None)
        for job, state, ce, absent in session.execute(select(*columns).where(*of_job)):
            found[job] = Held(CeState(state), ce, absent)
    return found


def _judged(row: Booked, attempts: Mapping[str, Held], known: Mapping[str, Ce], held: Settings, now: datetime) -> Late:
    attempt = attempts.get(row.app_job_id)
    ce = known.get(attempt.ce) if attempt and attempt.ce else None
    since = row.told_at or row.created or now
    return Late(row, since, *judged(row.state, attempt, ce, held, now))


def judged(state: PandaState, attempt: Held | None, ce: Ce | None, held: Settings, now: datetime) -> tuple[bool, str]:
    """Whether what the tower would say of a job is known to be true."""
    if state is PandaState.TOREPORT:
        return True, "its end is known, and stays"
    if state is PandaState.SENT:
        return True, "no CE has it yet"
    if state is PandaState.TOVALIDATE:
        return True, "its outputs are here"
    if attempt is None:
        return False, "no attempt stands for it (docs/safety.md)"
    if attempt.state is CeState.TOSUBMIT:
        return True, "no CE has it yet"
    if attempt.state in FINAL:
        return False, f"its attempt is over ({attempt.state.value}), which is told next"
    if attempt.state in ENDED:
        return True, f"{attempt.ce} has told its end"
    return _heard_of(attempt, ce, held, now)


def _heard_of(attempt: Held, ce: Ce | None, held: Settings, now: datetime) -> tuple[bool, str]:
    """Of a job that is at a CE, the CE's last word counts."""
    if ce is None:
        return False, f"its CE {attempt.ce} is not known any more"
    then = looked(ce, held)
    ago = f"{span(now - then)} ago" if then else "never"
    if not recent(ce, held, now):
        return False, f"{ce.name} was last heard {ago}" if then else f"{ce.name} was never heard"
    if attempt.absent_since is not None:
        return False, f"{ce.name} has not known it for {span(now - attempt.absent_since)}"
    return True, f"{ce.name} said so {ago}"


def make_due(session: Session, rows: Sequence[Late], now: datetime) -> int:
    """The normal sender takes them next; those of which nobody may speak are left as they are. Returns how many."""
    changes = {one.row: Change(None, {"heartbeat_due_at": now}) for one in rows if one.speaks}
    return len(books.settle(session, changes, now).written)


def portions(rows: Sequence[Late]) -> list[list[int]]:
    """The ids of those that may be told, as many at a time as the sender takes."""
    return list(chunks([one.row.id for one in rows if one.speaks], BATCH))
