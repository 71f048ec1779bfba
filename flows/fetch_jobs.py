"""The flow `fetch-jobs`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="fetch-jobs", persist_result=False)
async def fetch_jobs(window: float = 58, ces: list[str] | None = None) -> State[Any]:
    """Take jobs from PanDA, up to what each queue can hold.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("fetch-jobs", window, ces)
