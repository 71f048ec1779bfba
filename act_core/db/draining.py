"""What is left in a tower that is being drained."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, not_, select
from sqlalchemy.orm import Session

from act_core.db.listing import open_ones
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaRow
from act_core.states import ON_CE, PANDA_FINAL, UNBOUND, CeState, PandaState

_ON_CE = tuple(sorted(state.value for state in ON_CE))
_STARTS = PandaState.STARTING
_TO_TELL = tuple(sorted(state.value for state in PandaState if state not in PANDA_FINAL | UNBOUND | {_STARTS}))


@dataclass(frozen=True, slots=True)
class Left:
    """`jobs`: attempts with something before them, `there` of them at CEs; `panda`: PanDA jobs that have begun and
    whose end PanDA has not heard. `kept`: jobs that were never sent, and wait until the drain is over.
    """

    jobs: int
    there: int
    panda: int
    kept: int

    @property
    def empty(self) -> bool:
        return not (self.jobs or self.panda)


def left(session: Session) -> Left:
    first = _never_sent()
    jobs = session.execute(select(func.count()).where(open_ones(), not_(first))).scalar_one()
    there = session.execute(select(func.count()).where(CeJob.state.in_(_ON_CE))).scalar_one()
    panda = session.execute(select(func.count()).where(PandaRow.state.in_(_TO_TELL))).scalar_one()
    kept = session.execute(select(func.count()).where(first)).scalar_one()
    return Left(jobs, there, panda, kept)


def _never_sent() -> ColumnElement[bool]:
    return and_(CeJob.state == CeState.TOSUBMIT.value, CeJob.attempt == 1, CeJob.request.is_(None))
