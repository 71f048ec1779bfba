"""The flow `heartbeat`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Window
from flows.window import run_window


@flow(name="heartbeat", persist_result=False)
async def heartbeat(window: Window = 58) -> State[Any]:
    """Tell PanDA: heartbeats, final reports; hear its kill orders.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
    """
    return await run_window("heartbeat", window)
