"""Which CEs have work for a stage of the engine."""

from collections.abc import Awaitable, Callable, Sequence

from act_core.db import ces
from act_core.db.due import due_ces
from act_core.db.modes import CARED_FOR
from act_core.engine.submit import SENDING
from act_core.engine.transfers import with_transfers
from act_core.runtime import Runtime


def due_in(stage: str) -> Callable[[Runtime], Awaitable[Sequence[str]]]:
    """The CEs that have work for a stage of the engine, but for those that asked for a pause."""

    async def due(rt: Runtime) -> Sequence[str]:
        now = rt.now()
        names = {*await rt.read(due_ces, stage, now), *await with_transfers(rt, stage)}
        return [name for name in sorted(names) if rt.memory(name).paused.get(stage, now) <= now]

    return due


async def submit_due(rt: Runtime) -> Sequence[str]:
    """The CEs that have work for `submit`. One that is full is found for the sake of its other jobs only."""
    now = rt.now()
    full = [name for name in rt.remembered() if rt.memory(name).paused.get(SENDING, now) > now]
    return sorted({*await rt.read(due_ces, "submit", now, full), *await with_transfers(rt, "submit")})


def always(key: str) -> Callable[[Runtime], Awaitable[Sequence[str]]]:
    """One key that has work whenever it is asked for."""

    async def due(_rt: Runtime) -> Sequence[str]:
        return [key]

    return due


async def all_cared_for(rt: Runtime) -> Sequence[str]:
    """Every CE, but for those that nobody asks anything."""
    return [row.name for row in await rt.read(ces.all_ces) if row.mode in CARED_FOR]
