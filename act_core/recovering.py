"""A tower that finds its jobs again: what rests meanwhile, which CE is read next, and when it is over."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from act_core.apps import Part, Waits
from act_core.db import queries, recovery
from act_core.db.recovery import Stand
from act_core.engine.rebuilding import read_ce
from act_core.hooks import Hooks
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
VERB = "recover"
EVERY = timedelta(seconds=2)  # a recovery that somebody begins while the tower is up is seen so soon
PATIENCE = timedelta(minutes=10)  # with applications that do not know yet which CEs there are


class _Seen:
    """What this process last read: most of the time nothing, and no stage asks for it anew."""

    def __init__(self, _settings: Settings) -> None:
        self.stand: Stand | None = None
        self.at: datetime | None = None

    async def close(self) -> None:
        self.at = None


async def standing(rt: Runtime) -> Stand | None:
    """The recovery that is under way."""
    held, now = rt.kept(_Seen, _Seen), rt.now()
    if held.at is None or held.stand is not None or not timedelta(0) <= now - held.at < EVERY:
        held.stand, held.at = await rt.read(recovery.under_way), now
    return held.stand


def rests(part: Part, key: str, stand: Stand | None) -> bool:
    """Whether this part has to wait, for this key."""
    if stand is None or part.waits is Waits.NOTHING:
        return False
    if part.waits is Waits.END or not stand.looked:
        return True
    return part.waits is Waits.READ and key in stand.unread


def part_of(hooks: Hooks) -> Part:
    """Read a CE. Those that rest after errors are asked when their breaker lets them."""

    async def due(rt: Runtime) -> Sequence[str]:
        stand = await standing(rt)
        names = stand.to_read if stand else ()
        return await rt.read(queries.awake, sorted(names), rt.now()) if names else []

    async def read(rt: Runtime, ce: str) -> Counts:
        stand = await rt.read(recovery.under_way)
        return await read_ce(rt, ce, stand, hooks.over) if stand and ce in stand.to_read else Counts()

    return Part("sweep-status", VERB, due, read, breaker=True, reads=True)


async def finish(rt: Runtime, hooks: Hooks) -> Counts:
    """End a recovery of which every CE has been read or set aside."""
    stand = await standing(rt)
    if stand is None:
        return Counts()
    if stand.to_read:
        await rt.write(recovery.hold, stand.began, rt.now())
        return Counts()
    if rt.now() - stand.began < PATIENCE and not (stand.ces and await hooks.ready()):
        return Counts()
    ended = await rt.write(recovery.end, stand, rt.now())
    without = f"; without {', '.join(ended.without)}" if ended.without else ""
    logger.warning("the tower has found its jobs again: %d attempts rebuilt%s", ended.rebuilt, without)
    return Counts({word: n for word, n in (("rebuilt", ended.rebuilt), ("committed", ended.committed)) if n})
