"""The flow `refresh-queues`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Window
from flows.window import run_window


@flow(name="refresh-queues", persist_result=False)
async def refresh_queues(window: Window = 0) -> State[Any]:
    """Read CRIC: which PanDA queues there are, which are served, and by which CEs.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
    """
    return await run_window("refresh-queues", window)
