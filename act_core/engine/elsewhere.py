"""Wishes that need no CE, of attempts at CEs that nobody asks (offline, given up): the job's application waits."""

from act_core.db import queries
from act_core.engine.cancel import without_call
from act_core.engine.rerun import after_wish
from act_core.engine.settling import settle
from act_core.runtime import Counts, Runtime
from act_core.states import Request

BATCH, WISHES = 500, (Request.CANCEL, Request.RESUBMIT)


async def obey_elsewhere(rt: Runtime) -> Counts:
    """Of what is over there, a kill has nothing to do, and a next attempt may go to another CE."""
    if not (names := await rt.read(queries.uncared)):
        return Counts()
    now, wished = rt.now(), await rt.read(queries.wished_over, names, WISHES, BATCH)
    found = {a: after_wish(a, now) if a.request is Request.RESUBMIT else without_call(a) for a in wished}
    return await settle(rt, {a: decision for a, decision in found.items() if decision}, "submit")
