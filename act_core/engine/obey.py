"""Obey what somebody wants of jobs at a CE, and clear up what is in doubt: mostly there is none, as one look tells."""

from collections.abc import Awaitable, Callable, Collection

from act_core.db import queries
from act_core.db.queries import Task
from act_core.engine.cancel import cancel
from act_core.engine.reconcile import reconcile
from act_core.engine.rerun import rerun, resubmit
from act_core.runtime import Counts, Runtime

# What each step has to do with, in the order in which they go.
STEPS: tuple[tuple[Callable[[Runtime, str], Awaitable[Counts]], Collection[Task]], ...] = (
    (cancel, {Task.CANCEL, Task.KILL_AND_CLEAN, Task.RESUBMIT, Task.UNPLACED}),
    (resubmit, {Task.RESUBMIT, Task.UNPLACED}),
    (rerun, {Task.RERUN}),
    (reconcile, {Task.DOUBT}),
)


async def obey(rt: Runtime, ce: str) -> Counts:
    """The steps that have anything to do; what comes to be wished meanwhile waits for the next round."""
    tasks, counts = await rt.read(queries.tasks, ce, rt.now()), Counts()
    for step, of in STEPS:
        if not tasks.isdisjoint(of):
            counts += await step(rt, ce)
    return counts
