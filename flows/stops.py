"""Who wants a window to stop: a person in the UI (one run), or the worker that drains (all)."""

import threading
from typing import Any

from prefect.runtime import flow_run

_draining = threading.Event()
_runs: set[str] = set()


def drain() -> None:
    """Every window in this process ends at its next look."""
    _draining.set()


def stop_run(run_id: str) -> None:
    """The window of this flow run ends at its next look."""
    _runs.add(run_id)


def forget(run_id: str) -> None:
    _runs.discard(run_id)


def cancelled() -> bool:
    """Whether a person cancelled the flow run that asks."""
    run_id: Any = flow_run.id
    return run_id is not None and str(run_id) in _runs


def wanted() -> bool:
    """Whether the window that asks shall end."""
    return _draining.is_set() or cancelled()
