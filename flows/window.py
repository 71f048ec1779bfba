"""A window as Prefect sees it: too late or not, a slot of what is scarce, and counts in the state's message."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from act_core.db import ces as db_ces
from act_core.runtime import WRONG
from act_core.stages import ENGINE, STAGES, Tower
from flows import keeper, stops, tasks
from flows.rounds import Window

SCARCE = {"fetch-jobs": "panda-api", "heartbeat": "panda-api", "fetch-validate": "storage-checks"}
OBSERVING = "OBSERVING"  # how messages of a tower begin that takes, sends and reports nothing
NAMED = 20  # CEs in a message
LEAST_WINDOW = 60.0  # seconds: of shorter windows, too, a start is not late before two of these


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


async def run_window(stage: str, seconds: float, ces: Sequence[str] | None) -> State[Any]:
    """A stage for the length of a window; 0 seconds: one pass, which waits for leases that others hold."""
    if seconds > 0 and too_late(flow_run.scheduled_start_time, seconds, datetime.now(UTC)):
        return Completed(name="SkippedLate", message="it should have started long ago: the next window does the work")
    async with keeper.tower() as tower, AsyncExitStack() as stack:
        parts = tower.parts(stage)
        if not parts:
            left_out = f"{OBSERVING}: this stage is left out"
            return Completed(message=left_out if tower.observing else "nothing is configured for this stage")
        if ces and (wrong := await unknown(tower, stage, ces)):
            return Failed(message=wrong)
        if stage in SCARCE and any(part not in ENGINE for part in parts):
            # Asked once: a slot is held for a window, so to wait is in vain, and a slow server is not a busy one.
            slot = concurrency(SCARCE[stage], occupy=1, max_retries=0, strict=True)
            try:
                await stack.enter_async_context(slot)
            except ConcurrencySlotAcquisitionError as err:
                return Completed(name="Busy", message=f"no slot of {SCARCE[stage]}: {err}")
        window = Window(tower, stage, 0 if STAGES[stage].every else seconds, ces or ())
        try:
            await window.run()
        finally:
            tasks.closed(window)
        return ended(window)


def ended(window: Window) -> State[Any]:
    """What people read in the UI. A bug of ours, or a pass of which nothing but errors came, turns the run red."""
    counts = window.counts
    words = tasks.in_words(counts, [f"{key}: {trouble}" for key, trouble in window.troubles.items()])
    words = f"{OBSERVING}: {words}" if window.tower.observing else words
    if window.bugs:
        return Failed(message=f"{words}; bugs of ours: {'; '.join(window.bugs[:3])}")
    if counts["illegal"]:
        return Failed(message=f"{words}; see the log for the illegal moves")
    if counts[WRONG]:
        return Failed(message=f"{words}; see the log for what PanDA does not take of them")
    if counts["unbalanced"]:
        return Failed(message=f"{words}; see the log for the books that do not balance")
    if stops.cancelled():
        return Cancelled(message=f"{words}; ended by a person")
    did = set(+counts)
    if window.once and did == {"errors"}:
        return Failed(message=words)
    if did == {"busy"}:
        return Completed(message=f"{words}: somebody else held the lease")
    return Completed(message=words)
