"""The flow `sweep-status`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="sweep-status", persist_result=False)
async def sweep_status(window: float = 58, ces: list[str] | None = None) -> State[Any]:
    """Ask every computing element about the jobs that are due; applications hear the news.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("sweep-status", window, ces)
