"""The flow `report`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Window
from flows.window import run_window


@flow(name="report", persist_result=False)
async def report(window: Window = 0) -> State[Any]:
    """Count jobs where they stand.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
    """
    return await run_window("report", window)
