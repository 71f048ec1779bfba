"""The flow `fetch-validate`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.window import run_window


@flow(name="fetch-validate", persist_result=False)
async def fetch_validate(window: float = 58, ces: list[str] | None = None) -> State[Any]:
    """Bring outputs and logs home; check size and checksum on storage.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements (or PanDA queues); none: all that have work.
    """
    return await run_window("fetch-validate", window, ces)
