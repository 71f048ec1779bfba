"""The flow `clean`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="clean", persist_result=False)
async def clean(window: Window = 58, ces: Names = None, jobs: Names = None) -> State[Any]:
    """Leave nothing of ours on the computing elements; archive rows at rest.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
        jobs: only the computing elements that have these jobs or may get them; ids as `act jobs list` shows them.
    """
    return await run_window("clean", window, ces, jobs=jobs)
