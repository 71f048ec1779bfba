"""The flow `translate`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="translate", persist_result=False)
async def translate(window: Window = 58, queues: Names = None) -> State[Any]:
    """Describe PanDA jobs for their CEs.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        queues: only these PanDA queues; none: all that have work.
    """
    return await run_window("translate", window, queues)
