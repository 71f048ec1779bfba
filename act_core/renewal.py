"""How a tower takes over another configuration between two rounds, and closes what it replaces when it is free."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from act_core.logs import log
from act_core.runtime import Closable, Runtime
from act_core.settings.model import Settings

logger = log(__name__)


@dataclass(slots=True)
class _Retired:
    """Parts of the former configuration, and who may still use them: rounds, and calls between rounds."""

    parts: list[Closable]
    rounds: set[object]
    calls: "set[asyncio.Future[Any]]"

    def free(self) -> bool:
        return not self.rounds and all(call.done() for call in self.calls)


class Renewal:
    """`holds`: the configuration that holds in this process; None: nobody changes it. Belongs to one event loop."""

    def __init__(self, holds: Callable[[], Settings | None]) -> None:
        self._holds = holds
        self._using: set[object] = set()
        self._retired: list[_Retired] = []

    @contextmanager
    def used(self) -> Iterator[None]:
        """While this lasts, nothing is closed that was open when it began."""
        mark = object()
        self._using.add(mark)
        try:
            yield
        finally:
            self._using.discard(mark)
            for one in self._retired:
                one.rounds.discard(mark)

    async def renewed(self, rt: Runtime) -> Settings | None:
        """Take over what holds now, if it is another configuration: then returns the former one."""
        fresh, former = self._holds(), rt.settings
        if fresh is None or fresh is former:
            await self._close_free()
            return None
        if parts := rt.take_over(fresh):
            self._retired.append(_Retired(parts, set(self._using), rt.calls()))
        await self._close_free()
        return former

    async def _close_free(self) -> None:
        free = [one for one in self._retired if one.free()]
        self._retired = [one for one in self._retired if one not in free]
        for one in free:
            await _closed(one.parts)

    async def close(self) -> None:
        """Close the rest; nothing goes on any more."""
        for one in self._retired:
            await _closed(one.parts)
        self._retired.clear()


async def _closed(parts: list[Closable]) -> None:
    for part in parts:
        try:
            await part.close()
        except Exception as err:  # noqa: BLE001 - it is of no use any more, and the others are to be closed, too
            logger.warning("%s does not close: %s", type(part).__name__, err or type(err).__name__)
