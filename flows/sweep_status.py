"""The flow `sweep-status`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="sweep-status", persist_result=False)
async def sweep_status(window: Window = 58, ces: Names = None, jobs: Names = None) -> State[Any]:
    """Ask every computing element about the jobs that are due; applications hear the news.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
        jobs: only the computing elements that have these jobs or may get them; ids as `act jobs list` shows them.
    """
    return await run_window("sweep-status", window, ces, jobs=jobs)
