"""The flow `fetch-validate`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="fetch-validate", persist_result=False)
async def fetch_validate(window: Window = 58, ces: Names = None, jobs: Names = None) -> State[Any]:
    """Bring outputs and logs home; check size and checksum on storage.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
        jobs: only the computing elements that have these jobs or may get them; ids as `act jobs list` shows them.
    """
    return await run_window("fetch-validate", window, ces, jobs=jobs)
