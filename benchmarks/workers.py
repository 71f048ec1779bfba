"""Who in our process uses its CPU: the event loop, the threads that talk to the database, those that move files."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar
from unittest.mock import patch

from sqlalchemy.orm import Session

from act_core.ce import arc_fetch, arc_rest
from act_core.ce.arc_lanes import Lane, Lanes
from act_core.db.session import Database

P = ParamSpec("P")
T = TypeVar("T")
LOOP, SQL, FILES, DISK = "the event loop", "threads for SQL", "threads for files", "files on our disk"


class Spent:
    """CPU seconds by who used them."""

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, who: str, seconds: float) -> None:
        with self._lock:
            self._all[who] += seconds  # type: ignore[assignment]

    @contextmanager
    def by(self, who: str) -> Iterator[None]:
        """What this thread uses meanwhile."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.add(who, time.thread_time() - began)

    def told(self) -> dict[str, float]:
        """Files on the disk apart from the threads that bring them."""
        found: dict[str, float] = dict(self._all)
        found[FILES] = found.get(FILES, 0.0) - found.get(DISK, 0.0)
        return found


class Watched(Database):
    """State tables whose transactions are timed."""

    spent: Spent

    def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self.spent.by(SQL):
            return super().write(fn, *args, **kwargs)

    def read(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self.spent.by(SQL):
            return super().read(fn, *args, **kwargs)


@contextmanager
def watching(spent: Spent) -> Iterator[None]:
    """Time the threads for files of ARC CEs that are opened meanwhile."""

    class WatchedLanes(Lanes):
        async def _in_thread(self, work: Callable[[Lane], Any], lane: Lane) -> Any:
            def timed(mine: Lane) -> Any:
                with spent.by(FILES):
                    return work(mine)

            return await super()._in_thread(timed, lane)

    class WatchedFetch(arc_fetch._Fetch):
        def _land(self) -> None:
            with spent.by(DISK):
                super()._land()

    with patch.object(arc_rest, "Lanes", WatchedLanes), patch.object(arc_fetch, "_Fetch", WatchedFetch):
        yield
