"""The flow `close-books`."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Window
from flows.window import run_window


@flow(name="close-books", persist_result=False)
async def close_books(window: Window = 0) -> State[Any]:
    """Close the books of days that are over.

    Args:
        window: seconds that the run stays open for new work; 0: one pass.
    """
    return await run_window("close-books", window)
