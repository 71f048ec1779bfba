"""`python -m flows.serve POOL`: a worker until SIGTERM, then a drain."""

import asyncio
import os
import signal
import sys

import httpx

from act_core.db import bootstrap, ces, downtimes, leases
from act_core.logs import log
from act_core.settings import Settings
from flows import keeper, stops
from flows.worker import DRAIN_S, InProcessWorker

logger = log("flows.serve")  # the module is run as __main__
LIMIT = 64  # windows at a time: two of each stage, and what people start by hand

RETRY_S = 5.0


async def serve(pool: str) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain: windows end at their next look."""
    held = await asyncio.to_thread(keeper.settings)
    ended = await asyncio.to_thread(begin, held)
    worker = InProcessWorker(work_pool_name=pool, limit=LIMIT, prefetch_seconds=0, name=f"act-{os.getpid()}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = asyncio.create_task(_work(worker))
    waiting = asyncio.create_task(stop.wait())
    logger.info("worker of pool %s is up; %d leases of dead processes ended", pool, ended)
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    stops.drain()
    logger.info("draining %d windows", len(worker.active))
    end = asyncio.get_running_loop().time() + DRAIN_S - 2
    while worker.active and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - a set of another library
        await asyncio.sleep(0.1)
    work.cancel()
    results = await asyncio.gather(work, return_exceptions=True)
    await asyncio.to_thread(worker.end_loops)
    if not stop.is_set() and isinstance(results[0], Exception):
        raise results[0]


def begin(held: Settings) -> int:
    """The tables say which CEs this configuration names. Ends the leases of dead processes; returns how many."""
    db = bootstrap.open_tables(held)
    try:
        now = db.clock()
        db.write(ces.sync_ces, held.arc.sites, ces.CONFIG, now)
        db.write(downtimes.sync_configured, held.arc.downtime)
        return db.write(leases.end_dead, now)
    finally:
        db.close()


async def _work(worker: InProcessWorker) -> None:
    helper = asyncio.create_task(_beside(worker))
    try:
        await worker.start(printer=lambda *words: logger.info("%s", " ".join(map(str, words))))
    finally:
        helper.cancel()
        for bug in await asyncio.gather(helper, return_exceptions=True):
            if isinstance(bug, Exception):
                logger.error("the watch over runs ended: %s", bug, exc_info=bug)


async def _beside(worker: InProcessWorker) -> None:
    """First the dead, then the living."""
    while not worker.is_setup:  # noqa: ASYNC110 - a flag of another library
        await asyncio.sleep(0.2)
    await _recovered(worker)
    await worker.watch()


async def _recovered(worker: InProcessWorker) -> None:
    while True:
        try:
            logger.info("%d runs of dead workers marked", await worker.recover())
        except httpx.HTTPError as err:
            logger.warning("cannot ask for the runs of dead workers: %s", err)
            await asyncio.sleep(RETRY_S)
        else:
            return


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
