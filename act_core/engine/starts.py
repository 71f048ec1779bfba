"""Remember that jobs begin at a CE: one where they queue and none begins gets fewer."""

from collections.abc import Mapping
from datetime import timedelta

from act_core.db import ces
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move
from act_core.runtime import Runtime
from act_core.states import CeState

EVERY = timedelta(seconds=30)
WAITED = frozenset({CeState.SUBMITTED, CeState.HOLDING})
BEGAN = frozenset({CeState.RUNNING, CeState.FINISHING, CeState.FINISHED})  # a failed one may never have begun


def begins(decisions: Mapping[Attempt, Decision]) -> bool:
    """Whether one of these jobs was queued and is seen to run, or to have run."""
    return any(isinstance(one, Move) and one.to in BEGAN and job.state in WAITED for job, one in decisions.items())


async def starts(rt: Runtime, ce: str, decisions: Mapping[Attempt, Decision]) -> None:
    """Called with what a poll has settled; a write now and then, however many begin."""
    now, paused = rt.now(), rt.memory(ce).paused
    if paused.get("starts", now) <= now and begins(decisions):
        paused["starts"] = now + EVERY
        await rt.write(ces.started, ce, now)
