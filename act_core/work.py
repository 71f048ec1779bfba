"""On whose behalf this task works, and within which bounds: a run that Prefect knows, or a person who started it."""

from contextvars import ContextVar

RUN: ContextVar[int | None] = ContextVar("act_run", default=None)  # as a number of the table `runs`
MOST: ContextVar[int | None] = ContextVar("act_most", default=None)  # new jobs for a CE, or of a queue, in a round


def at_most(n: int) -> int:
    """So many, or fewer if who started this wants fewer."""
    most = MOST.get()
    return n if most is None else min(n, most)
