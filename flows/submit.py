"""The flow `submit`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="submit", persist_result=False)
async def submit(window: float = 58, ces: list[str] | None = None) -> State[Any]:
    """Cancel, resubmit, rerun, reconcile, submit, send inputs.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("submit", window, ces)
