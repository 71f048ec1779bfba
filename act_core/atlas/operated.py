"""What follows from an operator's word on a PanDA queue: what does not run yet comes back, what is empty is stopped."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from act_core.atlas import offline
from act_core.atlas.instance import server_of
from act_core.db import operator_modes
from act_core.db.modes import Mode
from act_core.db.operator_modes import Kind, Word
from act_core.db.panda_models import PandaRow
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.states import PANDA_FINAL, PandaState

EVERY = timedelta(seconds=10)
_OPEN = tuple(sorted(state.value for state in PandaState if state not in PANDA_FINAL))


class _Looked:
    """When this process looked last."""

    def __init__(self, _settings: Settings) -> None:
        self.at: datetime | None = None

    async def close(self) -> None:
        """Nothing is open."""


async def due(rt: Runtime) -> Sequence[str]:
    """The server, where an operator's word on a queue of it has something to do."""
    looked, now = rt.kept(_Looked, _Looked), rt.now()
    if looked.at is not None and now - looked.at < EVERY:
        return []
    looked.at = now
    words = (await rt.read(operator_modes.standing, now)).queues.values()
    mine = [one for one in words if one.server == server_of(rt)]
    return [server_of(rt)] if any(one.mode in (Mode.OFFLINE, Mode.DRAIN) for one in mine) else []


async def obey(rt: Runtime, server: str) -> Counts:
    """Call back from queues that are offline; stop those that are being emptied and have nothing left."""
    counts = await offline.obey(rt, server)
    stopped = 0
    for word in await rt.read(_empty, server, rt.now()):
        stopped += await rt.write(operator_modes.emptied, word, rt.now())
    return counts + Counts({"emptied": stopped} if stopped else {})


def _empty(session: Session, server: str, now: datetime) -> list[Word]:
    words = [one for one in operator_modes.draining(session, now, Kind.QUEUE) if one.server == server]
    return [one for one in words if not _has_jobs(session, server, one.name)]


def _has_jobs(session: Session, server: str, queue: str) -> bool:
    there = exists().where(PandaRow.state.in_(_OPEN), PandaRow.queue == queue, PandaRow.server == server)
    return bool(session.execute(select(there)).scalar())
