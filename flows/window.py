"""A window as Prefect sees it: too late or not, a slot of what is scarce, and counts in the state's message."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from act_core import meters
from act_core.db import ces as db_ces
from act_core.db import listing
from act_core.errors import DatabaseAway
from act_core.hooks import BROKEN
from act_core.logs import log
from act_core.runtime import WRONG
from act_core.stages import ENGINE, Tower
from act_core.work import MOST
from flows import keeper, stops, tasks, telling
from flows.rounds import Window

logger = log(__name__)
T = TypeVar("T")
SCARCE = {"fetch-jobs": "panda-api", "heartbeat": "panda-api", "fetch-validate": "storage-checks"}
OBSERVING = "OBSERVING"  # how messages of a tower begin that takes, sends and reports nothing
REDDENS = {
    "illegal": "the illegal moves",
    WRONG: "what PanDA does not take of them",
    "unbalanced": "the books that do not balance",
    BROKEN: "what failed in applications",
}
AGAIN_S = (5.0,) * 12  # the database is away for a pass: a restart of it takes no longer
NAMED = 20  # CEs in a message
LEASE_S = 60.0  # the server's least: for so long does a worker that is killed keep its slots from the next one
LEAST_WINDOW = 60.0  # seconds: of shorter windows, too, a start is not late before two of these
_crowds: dict[tuple[str, str], int] = {}  # keys that the next window of a tower's stage may have, by those before it


def too_late(planned: object, seconds: float, now: datetime) -> bool:
    """A backlog of windows is skipped, not run."""
    return isinstance(planned, datetime) and now - planned > timedelta(seconds=2 * max(seconds, LEAST_WINDOW))


async def unknown(tower: Tower, stage: str, chosen: Sequence[str]) -> str:
    """Which of the chosen keys nobody knows, in words. A queue without work is not told from one that is not there."""
    parts = tower.parts(stage)
    if not any(part.breaker for part in parts):
        return ""
    names = [row.name for row in await tower.rt.read(db_ces.all_ces)]
    others = {key for part, key in await tower.due(stage) if not part.breaker}
    missing = sorted(set(chosen) - set(names) - others)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"no such CE: {', '.join(missing)}; known: {', '.join(names[:NAMED]) or 'none'}{more}" if missing else ""


async def chosen(tower: Tower, stage: str, ces: Sequence[str], jobs: Sequence[str]) -> tuple[Sequence[str], str]:
    """The keys that a person chose, and what is wrong with the choice; no keys: all that have work."""
    if ces and (wrong := await unknown(tower, stage, ces)):
        return (), wrong
    places = await tower.rt.read(listing.places, jobs) if jobs else {}
    if missing := sorted(set(jobs) - places.keys()):
        return (), f"no such job: {', '.join(missing[:NAMED])} (`act jobs list`)"
    return sorted({*ces, *(ce for found in places.values() for ce in found)}), ""


async def run_window(
    stage: str,
    seconds: float,
    ces: Sequence[str] | None = None,
    *,
    jobs: Sequence[str] | None = None,
    most: int | None = None,
) -> State[Any]:
    """A stage for the length of a window; 0 seconds: one pass, which waits for leases that others hold.

    `ces`: only these keys; `jobs`: and those that have these jobs; `most`: new jobs for a key in a round.
    """
    planned = flow_run.scheduled_start_time
    if seconds > 0 and isinstance(planned, datetime):
        meters.WINDOW_LATE.labels(stage).observe(max(0.0, (datetime.now(UTC) - planned).total_seconds()))
    with meters.window(stage) as measured:
        state = await through_absence(
            lambda: _window(stage, seconds, ces or (), jobs or (), most), AGAIN_S if seconds == 0 else ()
        )
        measured.outcome = str(state.name)
    return state


async def through_absence(one_pass: Callable[[], Awaitable[T]], pauses: Iterable[float]) -> T:
    """A pass, begun anew after each of these seconds while the database is away. Raises DatabaseAway after the last.

    A window needs no pauses: the next one follows within a minute, and the next pass of the clock's in half an hour.
    """
    for pause in pauses:
        try:
            return await one_pass()
        except DatabaseAway as err:
            if stops.wanted():
                raise
            logger.warning("tried again in %.0f s: %s", pause, err)
        await asyncio.sleep(pause)
    return await one_pass()


def slot(stage: str) -> AbstractAsyncContextManager[None]:
    """One of what is scarce, for a window. Raises ConcurrencySlotAcquisitionError.

    Asked for once: it is held for a window, so to wait is in vain, and a slow server is not a busy one. A server that
    is away for a moment ends no window.
    """
    return concurrency(
        SCARCE[stage],
        occupy=1,
        max_retries=0,
        lease_duration=LEASE_S,
        strict=True,
        raise_on_lease_renewal_failure=False,
    )


async def _window(stage: str, seconds: float, ces: Sequence[str], jobs: Sequence[str], most: int | None) -> State[Any]:
    if seconds > 0 and too_late(flow_run.scheduled_start_time, seconds, datetime.now(UTC)):
        return Completed(name="SkippedLate", message="it should have started long ago: the next window does the work")
    async with keeper.tower() as tower, AsyncExitStack() as stack:
        if stage not in tower.stages:
            return Failed(message=f"no stage {stage!r}: its application is not in modules.app")
        parts = tower.parts(stage)
        if not parts:
            left_out = f"{OBSERVING}: this stage is left out"
            return Completed(message=left_out if tower.observing else "nothing is configured for this stage")
        only, wrong = await chosen(tower, stage, ces, jobs)
        if wrong:
            return Failed(message=wrong)
        MOST.set(most)
        if stage in SCARCE and any(part not in ENGINE for part in parts):
            try:
                await stack.enter_async_context(slot(stage))
            except ConcurrencySlotAcquisitionError as err:
                return Completed(name="Busy", message=f"no slot of {SCARCE[stage]}: {err}")
        crowd = (tower.rt.tower, stage)
        expected = 0 if only else _crowds.get(crowd, 0)
        window = Window(tower, stage, 0 if tower.stages[stage].every else seconds, only, expected=expected)
        await tower.began(stage, str(flow_run.id) if flow_run.id else None)
        try:
            await window.run()
        finally:
            tasks.closed(window)
            if not only:
                _crowds[crowd] = max(window.keys, expected // 2)  # one window may have few
        state = ended(window)
        await telling.tell(window, state)
        return state


def ended(window: Window) -> State[Any]:
    """What people read in the UI. A bug of ours, or a pass of which nothing but errors came, turns the run red."""
    counts = window.counts
    words = tasks.in_words(counts, [f"{key}: {trouble}" for key, trouble in window.troubles.items()])
    words = f"{OBSERVING}: {words}" if window.tower.observing else words
    if window.bugs:
        return Failed(message=f"{words}; bugs of ours: {'; '.join(window.bugs[:3])}")
    for word, what in REDDENS.items():
        if counts[word]:
            return Failed(message=f"{words}; see the log for {what}")
    if stops.cancelled():
        return Cancelled(message=f"{words}; ended by a person")
    did = set(+counts)
    if window.once and did == {"errors"}:
        return Failed(message=words)
    if did == {"busy"}:
        return Completed(message=f"{words}: somebody else held the lease")
    return Completed(message=words)
