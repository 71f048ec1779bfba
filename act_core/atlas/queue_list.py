"""PanDA queues as people see them: whether jobs are taken, why not, how many more each could hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from act_core.atlas.books import app_job_id
from act_core.atlas.cric import Queue
from act_core.atlas.fetch_jobs import label_for
from act_core.atlas.modes import mode_of
from act_core.atlas.queues import OPEN, room_of
from act_core.atlas.serving import STATUSES
from act_core.atlas.translate import TranslateSettings, translate
from act_core.atlas.wire import PandaJob
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaQueue, PandaRow
from act_core.errors import BadInput
from act_core.settings.app_model import AppSettings, Panda
from act_core.states import CeState, PandaState

_COLUMNS = (PandaQueue.name, PandaQueue.served, PandaQueue.why, PandaQueue.status, PandaQueue.parsed)
_COLUMNS_TOO = (PandaQueue.trouble, PandaQueue.fetch_due_at)


@dataclass(frozen=True, slots=True)
class Fill:
    """Jobs of a queue that the tower has: all that are open, those without an attempt, those that wait for a CE."""

    present: int = 0
    unbound: int = 0
    waiting: int = 0


def listed(session: Session, server: str, settings: Panda, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All queues (or these), in words; three statements."""
    question = select(*_COLUMNS, *_COLUMNS_TOO).where(PandaQueue.server == server).order_by(PandaQueue.name)
    rows = session.execute(question.where(PandaQueue.name.in_(names)) if names else question).all()
    fills = _fills(session, server)
    return [described(row, fills.get(row.name, Fill()), settings) for row in rows]


def _fills(session: Session, server: str) -> Mapping[str, Fill]:
    counted = select(PandaRow.queue, PandaRow.state, func.count()).where(
        PandaRow.state.in_(OPEN), PandaRow.server == server
    )
    present: dict[str, int] = {}
    unbound: dict[str, int] = {}
    for queue, state, n in session.execute(counted.group_by(PandaRow.queue, PandaRow.state)):
        present[queue] = present.get(queue, 0) + n
        if state == PandaState.SENT.value:
            unbound[queue] = n
    waits = select(CeJob.share, func.count()).where(CeJob.state == CeState.TOSUBMIT.value).group_by(CeJob.share)
    waiting = dict(session.execute(waits).tuples().all())
    return {name: Fill(n, unbound.get(name, 0), waiting.get(name, 0)) for name, n in present.items()}


def described(row: Row[Any], fill: Fill, settings: Panda) -> dict[str, Any]:
    """One queue. `asks`: how many jobs the next call to PanDA would ask for, and `label` of which kind."""
    queue = Queue.model_validate(row.parsed)
    permits = STATUSES.get(row.status)
    takes = row.served and permits is not None and permits.take
    room = room_of(queue.maxjobs, settings.minjobs, fill.present, fill.unbound, fill.waiting)
    return {
        "name": row.name,
        "served": row.served,
        "handed": queue.handed,
        "why": row.why or "",
        "status": row.status,
        "means": permits.says if permits else "a status that is not known: nothing is taken",
        "type": queue.type,
        "mode": mode_of(queue).value,
        "label": label_for(queue),
        "present": fill.present,
        "waiting": fill.unbound + fill.waiting,
        "room": room,
        "asks": min(room, settings.getjobs) if takes else 0,
        "ces": [one.name for one in queue.endpoints],
        "sites": list(queue.sites),
        "trouble": row.trouble or "",
        "asked_again_at": row.fetch_due_at,
    }


def example(session: Session, server: str, name: str, app: AppSettings) -> dict[str, Any] | None:
    """What the newest job of the queue asks its CE for, without the contents of its files; None: there is no job."""
    question = select(PandaRow.panda_id, PandaRow.attempt_nr, PandaRow.job, PandaRow.created)
    mine = question.where(PandaRow.state.in_(OPEN), PandaRow.queue == name, PandaRow.server == server)
    row = session.execute(mine.order_by(PandaRow.id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    parsed = session.execute(
        select(PandaQueue.parsed).where(PandaQueue.server == server, PandaQueue.name == name)
    ).scalar_one()
    told: dict[str, Any] = {"job": app_job_id(row.panda_id, row.attempt_nr)}
    try:
        job = PandaJob.parse(json.loads(row.job))
        spec = translate(job, Queue.model_validate(parsed), TranslateSettings.of(app), row.created)
    except BadInput as err:
        return told | {"refused": str(err)}
    hidden = {"inputs": {"__all__": {"content"}}}
    return told | spec.model_dump(mode="json", exclude_defaults=True, exclude=hidden)
