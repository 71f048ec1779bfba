"""What a fetch leaves among the results when its process dies: hidden directories that nobody will finish."""

import asyncio
import re
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
OLDEST = timedelta(days=1)  # no transfer lasts so long
# A directory that was touched longer ago has been swept since.
LOOKED_AT = timedelta(days=8)
EVERY = timedelta(hours=6)
_HALF = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<what>new|old)")  # names of `ce.disk`


def sweep(results: Path, now: datetime) -> int:
    """Remove what is older than a day: `results/<application>/<day>/.<job>.<token>.new`; returns how many there were.

    What a fetch had put aside (`.old`) and not replaced yet is a whole result: it goes back to its place.
    """
    swept = 0
    for day in results.glob("*/*"):
        if _age(day, now) < LOOKED_AT and day.is_dir() and not day.is_symlink():
            swept += sum(_swept(path, now) for path in day.glob(".*") if _HALF.fullmatch(path.name))
    return swept


def _swept(path: Path, now: datetime) -> bool:
    found = _HALF.fullmatch(path.name)
    if found is None or path.is_symlink() or _age(path, now) < OLDEST:
        return False
    whole = path.with_name(found["name"])
    if found["what"] == "old" and not whole.exists():
        with suppress(OSError):
            path.rename(whole)
            return True
    shutil.rmtree(path, ignore_errors=True)
    return True


def _age(path: Path, now: datetime) -> timedelta:
    try:
        return now - datetime.fromtimestamp(path.lstat().st_mtime, now.tzinfo)
    except OSError:  # it has gone meanwhile
        return timedelta.max


class _Swept:
    """When this process last swept."""

    def __init__(self, _settings: Settings) -> None:
        self.at: datetime | None = None

    async def close(self) -> None:
        self.at = None


async def sweep_leftovers(rt: Runtime) -> Counts:
    """The same for the tower's results, every few hours."""
    last, now = rt.kept(_Swept, _Swept), rt.now()
    if last.at is not None and now - last.at < EVERY:
        return Counts()
    last.at = now
    swept = await asyncio.to_thread(sweep, rt.settings.results_dir, now)
    if swept:
        logger.info("%d half fetches of processes that died are swept away", swept)
    return Counts({"half fetches": swept} if swept else {})
