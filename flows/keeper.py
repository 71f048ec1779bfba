"""The tower of an event loop: opened once, and kept where the loop lives on, so that connections stay warm."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from act_core import logs
from act_core.db.session import Database
from act_core.live import Live
from act_core.runtime import Runtime
from act_core.settings import Settings, load_settings
from act_core.stages import Tower

_kept: dict[int, Tower] = {}  # by loop
_opening: dict[int, asyncio.Lock] = {}
_lasting: set[int] = set()
_guard = threading.Lock()
_live: list[Live] = []  # of a worker: the configuration that holds now
_shared: list[Database] = []  # one for all loops of a process: its pool is the bound


def last(loop: asyncio.AbstractEventLoop) -> None:
    """This loop lives as long as its process: keep its tower."""
    _lasting.add(id(loop))


def watched(live: Live) -> None:
    """From now on this says which configuration holds in this process."""
    _live[:] = [live]


def holds() -> Settings | None:
    """None: nobody looks at the files; each tower reads them when it is opened."""
    return _live[0].holds if _live else None


def settings() -> Settings:
    """The configuration, with the logs going where it says."""
    held = load_settings().settings
    logs.configure(held.arc.logger, held.state_dir)
    return held


def database(held: Settings) -> Database:
    with _guard:
        if not _shared:
            _shared.append(Database(held))
        return _shared[0]


@asynccontextmanager
async def tower() -> AsyncIterator[Tower]:
    """The tower of this loop."""
    loop = asyncio.get_running_loop()
    if id(loop) not in _lasting:
        async with Tower(await asyncio.to_thread(Runtime.open, await asyncio.to_thread(settings))) as opened:
            opened.rt.lasting = False
            yield opened
            await opened.going.finish()  # nobody else would: this process ends with its window
        return
    async with _opening.setdefault(id(loop), asyncio.Lock()):  # two windows of a stage may begin together
        if id(loop) not in _kept:
            known = holds()
            held = await asyncio.to_thread(settings) if known is None else known
            shared = await asyncio.to_thread(database, held)
            _kept[id(loop)] = Tower(await asyncio.to_thread(Runtime.open, held, shared), holds=holds)
    yield _kept[id(loop)]


async def close() -> None:
    """Close this loop's tower; the loop ends."""
    if found := _kept.pop(id(asyncio.get_running_loop()), None):
        await found.close()
