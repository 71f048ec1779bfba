"""The flow `submit`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Most, Names, Window
from flows.window import run_window


@flow(name="submit", persist_result=False)
async def submit(window: Window = 58, ces: Names = None, jobs: Names = None, most: Most = None) -> State[Any]:
    """Cancel, resubmit, rerun, reconcile, submit, send inputs.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
        jobs: only the computing elements that have these jobs or may get them; ids as `act jobs list` shows them.
        most: at most so many new jobs for each computing element in a round; none: as many as it takes.
    """
    return await run_window("submit", window, ces, jobs=jobs, most=most)
