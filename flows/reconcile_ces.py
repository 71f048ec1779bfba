"""The flow `reconcile-ces`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="reconcile-ces", persist_result=False)
async def reconcile_ces(window: Window = 0, ces: Names = None) -> State[Any]:
    """Compare our rows with the computing elements' own lists.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
    """
    return await run_window("reconcile-ces", window, ces)
