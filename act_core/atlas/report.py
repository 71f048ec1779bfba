"""The ATLAS table of `act report`: PanDA queues and their jobs, under the original's words where they still fit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas.instance import server_key
from act_core.db.panda_models import PandaCount
from act_core.settings.model import Settings
from act_core.states import PandaState
from act_core.tables import Cell, Table, natural, summed

SLOTS = "slots"  # cores of what runs
# The original's word for a state of ours, where it has another one. Its toresubmit and toclean are no states of PanDA
# jobs any more: an attempt that is made anew is `starting`.
WORDS: Mapping[PandaState, str] = {PandaState.TOKILL: "tobekilled"}
CLOSED: Mapping[str, str] = {"finished": "done", "failed": "donefailed"}  # by PanDA's last word
OTHERWISE_CLOSED = "donecancelled"  # killed, or taken back
COLUMNS = (
    "sent",
    "starting",
    "running",
    SLOTS,
    "transferring",
    "tovalidate",
    "awaiting",
    "toreport",
    "done",
    "donefailed",
    "tobekilled",
    "donecancelled",
    "forgotten",
)


def word_of(state: PandaState, told: str) -> str:
    """The column in which a job is counted."""
    if state is PandaState.CLOSED:
        return CLOSED.get(told, OTHERWISE_CLOSED)
    return WORDS.get(state, state.value)


def report(session: Session, held: Settings, _now: datetime) -> Sequence[Table]:
    """One table: the queues of this instance's server."""
    queues: dict[str, Counter[str]] = {}
    columns = (PandaCount.queue, PandaCount.state, PandaCount.told, PandaCount.n, PandaCount.cores)
    for queue, word, told, n, cores in session.execute(select(*columns).where(PandaCount.server == server_key(held))):
        state, counted = PandaState(word), queues.setdefault(queue, Counter())
        counted[word_of(state, told)] += n
        if state is PandaState.RUNNING:
            counted[SLOTS] += cores
    rows: list[tuple[Cell, ...]] = [
        (name, *(queues[name][word] for word in COLUMNS)) for name in sorted(queues, key=natural)
    ]
    title = f"PanDA jobs at {server_key(held)}" + (f" ({held.instance})" if held.instance else "")
    return [summed(title, ("queue", *COLUMNS), rows)]
