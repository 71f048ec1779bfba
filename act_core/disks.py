"""The file systems that the tower writes on: how much is free, what that stops, and when they will be full."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from act_core.settings.model import Settings
from act_core.settings.policy import Disk

KEPT, EVERY = timedelta(days=14), timedelta(hours=1)  # samples
LATELY, SHORTEST, FEWEST = timedelta(days=1), timedelta(hours=2), 3  # from less nothing is foretold
AGAIN = 1.05  # so much more than the limit must be free until work begins again: else it stops and goes each minute
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
Sample = tuple[datetime, int]  # used bytes


class Stops(StrEnum):
    """What a lack of space stops. Each stops what stands above it, too."""

    NOTHING = "nothing"
    JOBS = "jobs"
    DOWNLOADS = "downloads"


_ORDER = tuple(Stops)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`path`: the first place on it that the tower uses; `what`: all that the tower keeps there; sizes in bytes."""

    path: Path
    what: tuple[str, ...]
    free: int
    total: int

    @property
    def share(self) -> float:
        """The free part, 0 to 1; of a file system without a size all is free."""
        return self.free / self.total if self.total > 0 else 1.0

    @property
    def used(self) -> int:
        return max(0, self.total - self.free)


def places(settings: Settings) -> Mapping[str, Path]:
    """What the tower writes on this machine, and where."""
    found = {
        "results": settings.results_dir,
        "state": settings.state_dir,
        "logs": settings.arc.logger.logdir or settings.state_dir / "log",
    }
    return found | ({"state tables": settings.sqlite_file} if settings.arc.db.type == "sqlite" else {})


def looked_at(
    settings: Settings, ask: Callable[[Path], os.statvfs_result] = os.statvfs
) -> tuple[list[FileSystem], list[str]]:
    """Each file system once, and what cannot be asked, in words."""
    found: dict[int, FileSystem] = {}
    silent: list[str] = []
    for what, wanted in places(settings).items():
        path = wanted
        try:
            path = _there(wanted)
            device, said = path.stat().st_dev, ask(path)
        except OSError as err:
            silent.append(f"{path} ({what}): {err.strerror or err}")
            continue
        if known := found.get(device):
            found[device] = FileSystem(known.path, (*known.what, what), known.free, known.total)
        else:
            found[device] = FileSystem(path, (what,), said.f_bavail * said.f_frsize, said.f_blocks * said.f_frsize)
    return list(found.values()), silent


def _there(path: Path) -> Path:
    """The path, or what of it is there already."""
    return next((one for one in (path, *path.parents) if one.exists()), path)


def least(total: int, limit: float) -> int:
    """Bytes that have to be free: a limit below 1 is a part of the whole, others are bytes."""
    return int(total * limit if limit < 1 else limit)


def stops(one: FileSystem, limits: Disk, before: Stops = Stops.NOTHING) -> Stops:
    """What has to stop; what had stopped `before` goes on only when a little more than the limit is free."""
    for what, limit in ((Stops.DOWNLOADS, limits.downloads), (Stops.JOBS, limits.fetchjobs)):
        wanted = least(one.total, limit)
        if _ORDER.index(before) >= _ORDER.index(what):
            wanted = int(wanted * AGAIN)
        if one.free < wanted:
            return what
    return Stops.NOTHING


def worst(found: Iterable[Stops]) -> Stops:
    return max(found, key=_ORDER.index, default=Stops.NOTHING)


def growth(samples: Sequence[Sample]) -> float | None:
    """Bytes a second: over all samples or over the last day, whichever is faster. None: too little is known."""
    if not samples:
        return None
    last = samples[-1][0]
    found = [_slope(some) for some in (samples, [one for one in samples if last - one[0] <= LATELY])]
    known = [one for one in found if one is not None]
    return max(known, default=None)


def _slope(samples: Sequence[Sample]) -> float | None:
    """Of the line with the least squares."""
    if len(samples) < FEWEST or samples[-1][0] - samples[0][0] < SHORTEST:
        return None
    times = [(at - samples[0][0]).total_seconds() for at, _ in samples]
    mid = sum(times) / len(times)
    mean = sum(used for _, used in samples) / len(samples)
    spread = sum((time - mid) ** 2 for time in times)
    return sum((time - mid) * (used - mean) for time, (_, used) in zip(times, samples, strict=True)) / spread


def left(free: int, samples: Sequence[Sample]) -> timedelta | None:
    """How long this much lasts; None: nobody knows, or it does not get less."""
    faster = growth(samples)
    if faster is None or faster <= 0:
        return None
    return timedelta(seconds=min(free / faster, timedelta(days=3650).total_seconds()))


def foretold(free: int, samples: Sequence[Sample]) -> str:
    """One sentence."""
    if growth(samples) is None:
        return "How fast it fills is not known yet."
    lasts = left(free, samples)
    if lasts is None or lasts >= timedelta(days=365):
        return "It does not fill at present."
    days = lasts / timedelta(days=1)
    return (
        f"At this pace it is full in {days:.0f} days."
        if days >= 2
        else f"At this pace it is full in {days * 24:.0f} h."
    )


def with_sample(samples: Sequence[Sample], now: datetime, used: int) -> list[Sample]:
    """The samples of two weeks, one an hour."""
    kept = [one for one in samples if timedelta(0) <= now - one[0] <= KEPT]
    return kept if kept and now - kept[-1][0] < EVERY else [*kept, (now, used)]


def size(n: int) -> str:
    """`12.3 GB`."""
    value = float(n)
    for unit in _UNITS[:-1]:
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} {_UNITS[-1]}"


def limit_in_words(limit: float) -> str:
    return f"{limit * 100:g} %" if limit < 1 else size(int(limit))


def samples_of(read: object) -> Iterator[tuple[str, list[Sample]]]:
    """The samples of each file system out of a file, which may say anything."""
    for name, rows in read.items() if isinstance(read, dict) else ():
        found: list[Sample] = []
        for row in rows if isinstance(rows, list) else ():
            try:
                at, used = datetime.fromisoformat(row[0]), int(row[1])
            except (TypeError, ValueError, LookupError):
                continue
            if at.tzinfo is not None:
                found.append((at, used))
        yield str(name), found
