"""`python -m flows.serve POOL`: a worker until SIGTERM, then a drain."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress

import httpx
from prefect.settings import temporary_settings

from act_core import garbage, logs
from act_core.db import bootstrap, leases
from act_core.errors import ConfigError, Transient
from act_core.live import Live
from act_core.logs import log
from act_core.monitor.metrics_page import MetricsPage
from act_core.processes import NAMED_BY, WORKER, touch_tick, worker_number
from act_core.settings import Settings
from flows import keeper, noise, stops
from flows.worker import DRAIN_S, InProcessWorker

logger = log("flows.serve")  # the module is run as __main__
LIMIT = 64  # windows at a time: two of each stage, and what people start by hand

RETRY_S, LOOK_S, HANGS_S = 5.0, 2.0, 10.0
METRICS_AGAIN_S = 30.0


async def serve(pool: str) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain: windows end at their next look."""
    live = await asyncio.to_thread(Live.open)
    keeper.watched(live)
    logs.configure(live.holds.arc.logger, live.holds.state_dir)
    noise.hush()
    ended = await asyncio.to_thread(begin, live.holds)
    name = f"act-{socket.gethostname()}-{os.getpid()}"
    worker = InProcessWorker(work_pool_name=pool, limit=LIMIT, prefetch_seconds=0, name=name)
    worker.several = live.holds.arc.prefect.workers > 1
    stop, hurry = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hurry.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    garbage.calm()
    watch = asyncio.create_task(watch_configuration(live, hurry))
    work = asyncio.create_task(_work(worker))
    waiting = asyncio.create_task(stop.wait())
    measured = asyncio.create_task(_metrics(live.holds))
    logger.info("worker of pool %s is up; %d leases of dead processes ended", pool, ended)
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    stops.drain()
    logger.info("draining %d windows", len(worker.active))
    end = asyncio.get_running_loop().time() + DRAIN_S - 2
    while worker.active and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - a set of another library
        await asyncio.sleep(0.1)
    work.cancel()
    watch.cancel()
    measured.cancel()
    results = await asyncio.gather(work, watch, return_exceptions=True)
    await asyncio.gather(measured, return_exceptions=True)
    await asyncio.to_thread(worker.end_loops)
    if not stop.is_set() and isinstance(results[0], Exception):
        raise results[0]


async def watch_configuration(live: Live, hurry: asyncio.Event) -> None:
    """For ever: look at the files, and tell the tables what holds; towers take it over at their next round."""
    told, looking = "", None
    while True:
        try:
            looking = looking or asyncio.create_task(_look(live, hurry))
            done, _ = await asyncio.wait([looking], timeout=HANGS_S)
            if done:
                looking = None
                done.pop().result()
            told = ""
        except (Transient, OSError) as err:  # of the latter a disk that is full
            if str(err) != told:
                logger.warning("the configuration that holds is not told to everybody yet: %s", err)
            told = str(err)
        except Exception:
            logger.exception("a bug of ours: the configuration was not looked at")
        touch_tick(live.holds.state_dir, own_name())
        with suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), LOOK_S)


def own_name() -> str:
    """Of the workers of this machine."""
    return os.environ.get(NAMED_BY, WORKER)


async def _look(live: Live, hurry: asyncio.Event) -> None:
    """Once; where the files' disk hangs, until it goes on: their last good words hold as long."""
    now = hurry.is_set()
    hurry.clear()
    await asyncio.to_thread(live.look, now)
    if live.owed:
        await asyncio.to_thread(_tell, live)


def _tell(live: Live) -> None:
    live.tell(keeper.database(live.holds))


def begin(held: Settings) -> int:
    """The tables say which CEs this configuration names. Ends the leases of dead processes; returns how many."""
    db = bootstrap.open_tables(held)
    try:
        now = db.clock()
        bootstrap.enter_configured(db, held, now)
        return db.write(leases.end_dead, now)
    finally:
        db.close()


async def _metrics(held: Settings) -> None:
    """Serve numbers for Prometheus until the end; a port that is taken may become free."""
    told = False
    while True:
        try:
            page = await asyncio.to_thread(MetricsPage.opened, held, worker_number(own_name()))
            break
        except ConfigError as err:
            if not told:
                logger.error("%s; tried again every %.0f s", err, METRICS_AGAIN_S)  # noqa: TRY400 - it says all
            told = True
            await asyncio.sleep(METRICS_AGAIN_S)
    if page is None:
        return
    logger.info("metrics are served at http://%s:%d/metrics", held.arc.monitor.host, page.port)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.to_thread(page.close))


async def _work(worker: InProcessWorker) -> None:
    helper = asyncio.create_task(_beside(worker))
    try:
        with temporary_settings({"flows.heartbeat_frequency": None}):  # instead of the worker's own
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
