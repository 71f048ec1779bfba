"""The flow `renew-credentials`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window


@flow(name="renew-credentials", persist_result=False)
async def renew_credentials(window: Window = 0, ces: Names = None) -> State[Any]:
    """Look at proxies and delegations; forecast what expires.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
        ces: only these computing elements; none: all that have work.
    """
    return await run_window("renew-credentials", window, ces)
