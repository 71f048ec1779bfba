"""The flow `refresh-queues`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="refresh-queues", persist_result=False)
async def refresh_queues(window: float = 0, ces: list[str] | None = None) -> State[Any]:
    """Read CRIC: which PanDA queues there are, which are served, and by which CEs.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("refresh-queues", window, ces)
