"""The flow `clean`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="clean", persist_result=False)
async def clean(window: float = 58, ces: list[str] | None = None) -> State[Any]:
    """Leave nothing of ours on the computing elements; archive rows at rest.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("clean", window, ces)
