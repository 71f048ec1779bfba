"""The table of PanDA queues, and what of it each step asks."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from act_core.atlas import asks
from act_core.atlas.cric import Queue
from act_core.atlas.serving import TAKES_JOBS, Served
from act_core.db.bulk import chunks
from act_core.db.models import ERROR_LENGTH, CeJob
from act_core.db.panda_models import PandaQueue, PandaRow
from act_core.states import PANDA_FINAL, CeState, PandaState
from act_core.words import kept

_OVER = {PandaState.AWAITING, PandaState.TOREPORT}
OPEN = tuple(state.value for state in PandaState if state not in PANDA_FINAL | _OVER)


def due(session: Session, server: str, now: datetime) -> list[str]:
    """Served queues that may be asked for jobs."""
    question = select(PandaQueue.name).where(
        PandaQueue.server == server,
        PandaQueue.served.is_(True),
        PandaQueue.status.in_(TAKES_JOBS),
        or_(PandaQueue.fetch_due_at.is_(None), PandaQueue.fetch_due_at <= now),
    )
    return list(session.scalars(question.order_by(PandaQueue.name)))


def served(session: Session, server: str) -> Served:
    """How many queues there are and are served; the reasons of the others, out of the index and their own words."""
    reason = case((PandaQueue.served.is_(True), None), else_=func.coalesce(PandaQueue.why, ""))
    found = dict(
        session.execute(select(reason, func.count()).where(PandaQueue.server == server).group_by(reason)).tuples().all()
    )
    ours = found.pop(None, 0)
    return Served(ours + sum(found.values()), ours, {str(why): n for why, n in found.items()})


def parsed(session: Session, server: str, name: str) -> Mapping[str, Any] | None:
    """What is used of CRIC's entry."""
    return session.execute(select(PandaQueue.parsed).where(*_is(server, name))).scalar()


def all_parsed(session: Session, server: str, names: Collection[str]) -> dict[str, Queue]:
    """Several at once; those that nobody knows are left out."""
    found: dict[str, Queue] = {}
    for chunk in chunks(sorted(names)):
        mine = (PandaQueue.server == server, PandaQueue.name.in_(chunk))
        rows = session.execute(select(PandaQueue.name, PandaQueue.parsed).where(*mine))
        found |= {name: Queue.model_validate(parsed) for name, parsed in rows}
    return found


def _is(server: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return PandaQueue.server == server, PandaQueue.name == name


def any_known(session: Session, server: str) -> bool:
    """False: CRIC has not been read yet, or not since the tables were upgraded."""
    return session.execute(select(PandaQueue.name).where(PandaQueue.server == server).limit(1)).first() is not None


def unserved(session: Session, server: str, name: str) -> str | None:
    """Why a queue that is in the tables is not served; None: it is."""
    row = session.execute(select(PandaQueue.served, PandaQueue.why).where(*_is(server, name))).one_or_none()
    return None if row is None or row.served else row.why or "it is another's"


def room(session: Session, owner: tuple[str, str], queue: str, maxjobs: int, most_waiting: int, now: datetime) -> int:
    """How many more jobs the queue can hold: bounded by its maxjobs, and by how many wait to be sent to a CE.

    What PanDA has reserved for us in an answer that was lost counts, too, until PanDA has given it up. `owner`: PanDA's
    server and the application, since another instance may have a queue of this name.
    """
    server, app = owner
    of_queue = (PandaRow.server == server, PandaRow.queue == queue)
    present = session.execute(
        select(func.count()).select_from(PandaRow).where(*of_queue, PandaRow.state.in_(OPEN))
    ).scalar_one()
    unbound = session.execute(
        select(func.count()).select_from(PandaRow).where(*of_queue, PandaRow.state == PandaState.SENT.value)
    ).scalar_one()
    waiting = session.execute(
        select(func.count()).where(CeJob.state == CeState.TOSUBMIT.value, CeJob.share == queue, CeJob.app == app)
    ).scalar_one()
    lost = asks.reserved(session, server, queue, now)
    return max(0, room_of(maxjobs, most_waiting, present, unbound, waiting) - lost)


def room_of(maxjobs: int, most_waiting: int, present: int, unbound: int, waiting: int) -> int:
    return max(0, min(maxjobs - present, most_waiting - unbound - waiting))


def asked(session: Session, server: str, name: str, again_at: datetime | None, trouble: str | None) -> None:
    """Remember when to ask PanDA again for this queue, and what went wrong."""
    words = kept(trouble, ERROR_LENGTH) if trouble else None
    session.execute(update(PandaQueue).where(*_is(server, name)).values(fetch_due_at=again_at, trouble=words))


def in_doubt(session: Session) -> dict[str, int]:
    """How many jobs of each queue are kept because an attempt of them may be on a CE."""
    question = select(PandaRow.queue, func.count()).where(PandaRow.state == PandaState.FORGOTTEN.value)
    return dict(session.execute(question.group_by(PandaRow.queue)).tuples().all())
