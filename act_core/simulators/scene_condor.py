"""HTCondor's own word on what is left of a scene's jobs."""

import asyncio
from datetime import UTC, datetime

from act_core.ce.registry import open_ce
from act_core.ids import TowerId
from act_core.settings import Settings


def left(settings: Settings, name: str, tower: TowerId) -> int:
    """The jobs of this tower that the schedd still lists. Raises ActError."""

    async def listed() -> int:
        ce = open_ce(settings, name, lambda: datetime.now(UTC), tower=tower)
        try:
            return len((await ce.list_mine(tower, ())).mine)
        finally:
            await ce.close()

    return asyncio.run(listed())
