"""The flow `fetch-jobs`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Most, Names, Window
from flows.window import run_window


@flow(name="fetch-jobs", persist_result=False)
async def fetch_jobs(window: Window = 58, queues: Names = None, most: Most = None) -> State[Any]:
    """Take jobs from PanDA, up to what each queue can hold.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        queues: only these PanDA queues; none: all that have work.
        most: at most so many jobs for each queue in a round; none: as many as it has room for.
    """
    return await run_window("fetch-jobs", window, queues, most=most)
