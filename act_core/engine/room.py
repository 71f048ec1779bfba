"""Whether the tower's own disks have room for new jobs and for what comes home; and the trend."""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from act_core.db import ledger
from act_core.db.ledger import Line, Subject
from act_core.disks import (
    FileSystem,
    Sample,
    Stops,
    foretold,
    limit_in_words,
    looked_at,
    samples_of,
    size,
    stops,
    with_sample,
    worst,
)
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Disk

logger = log(__name__)
EVERY = timedelta(seconds=5)  # between looks of one event loop
LATER = timedelta(seconds=10)  # until what was stopped asks again
FILE = "disk.json"
_REASONS: Mapping[Stops, Reason] = {Stops.JOBS: Reason.DISK_JOBS, Stops.DOWNLOADS: Reason.DISK_DOWNLOADS}


class _Seen:
    """What this process saw last. A file system that hangs is asked by one thread, and what it said last holds."""

    def __init__(self, _settings: Settings) -> None:
        self.at: datetime | None = None
        self.stopped: dict[Path, Stops] = {}
        self.told: set[Subject] = set()  # what this loop has said of it
        self.asking: asyncio.Task[tuple[list[FileSystem], list[str]]] | None = None

    async def close(self) -> None:
        if self.asking:
            self.asking.cancel()


async def stopped(rt: Runtime) -> Stops:
    """What has to wait for room; the ledger is told. Asked anew every few seconds."""
    seen, now = rt.kept(_Seen, _Seen), rt.now()
    if seen.at is None or now - seen.at >= EVERY:
        seen.at = now
        await _look(rt, seen)
    return worst(seen.stopped.values())


async def _look(rt: Runtime, seen: _Seen) -> None:
    if seen.asking is None:
        seen.asking = asyncio.create_task(asyncio.to_thread(looked_at, rt.settings))
    done, _ = await asyncio.wait([seen.asking], timeout=EVERY.total_seconds())
    if not done:
        return
    asked, seen.asking = seen.asking, None
    found, silent = asked.result()
    for words in silent:
        logger.warning("how much is free cannot be said of %s", words)
    limits, former = rt.settings.arc.disk, seen.stopped
    said = {one.path: stops(one, limits, former.get(one.path, Stops.NOTHING)) for one in found}
    seen.stopped = (former if silent else {}) | said  # what cannot be asked is as it was
    known = read_samples(rt.settings) if worst(seen.stopped.values()) is not Stops.NOTHING else {}
    lines = [line(one, seen.stopped[one.path], limits, known.get(str(one.path), ())) for one in found]
    # that all is well is news only where it was not; `sample` ends what another loop had said
    news = [one for one in lines if one.reason or one.subject in seen.told]
    seen.told = {one.subject for one in lines if one.reason}
    if news:
        await rt.note(news)


def line(one: FileSystem, what: Stops, limits: Disk, samples: Sequence[Sample]) -> Line:
    """What the ledger says of a file system."""
    host = socket.gethostname()[:60]
    share = f"{host}:{one.path}"[:128]
    if what is Stops.NOTHING:
        return Line(Topic.DISK, None, share=share)
    limit = limits.downloads if what is Stops.DOWNLOADS else limits.fetchjobs
    facts = {
        "host": host,
        "path": str(one.path),
        "what": ", ".join(one.what),
        "free": size(one.free),
        "percent": round(one.share * 100, 1),
        "limit": limit_in_words(limit),
        "forecast": foretold(one.free, samples),
    }
    return Line(Topic.DISK, _REASONS[what], share=share, facts=facts)


def read_samples(settings: Settings) -> dict[str, list[Sample]]:
    """Used bytes of each file system in the last two weeks; what cannot be read is forgotten."""
    try:
        return dict(samples_of(json.loads((settings.state_dir / FILE).read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return {}


async def sample(rt: Runtime) -> Counts:
    """Keep a sample an hour, and bring the facts up to date of what holds."""
    now = rt.now()
    await asyncio.to_thread(_sample, rt.settings, now)
    seen = rt.kept(_Seen, _Seen)
    await stopped(rt)
    found, _ = await asyncio.to_thread(looked_at, rt.settings)
    known, limits = await asyncio.to_thread(read_samples, rt.settings), rt.settings.arc.disk
    held = [(one, seen.stopped.get(one.path, Stops.NOTHING)) for one in found]
    lines = [line(one, what, limits, known.get(str(one.path), ())) for one, what in held]
    await rt.note(lines)
    await rt.write(ledger.correct, lines)
    return Counts()


def _sample(settings: Settings, now: datetime) -> None:
    """A disk that is full may not take it: then the trend has a gap."""
    known, (found, _) = read_samples(settings), looked_at(settings)
    grown = {str(one.path): with_sample(known.get(str(one.path), []), now, one.used) for one in found}
    if all(grown[path] == known.get(path) for path in grown):
        return
    rows = {path: [[at.isoformat(), used] for at, used in samples] for path, samples in (known | grown).items()}
    fresh = settings.state_dir / f"{FILE}.new"
    try:
        fresh.write_text(json.dumps(rows), encoding="utf-8")
        fresh.replace(settings.state_dir / FILE)
    except OSError as err:
        logger.warning("%s: no sample of the disks is kept: %s", fresh, err.strerror or err)
