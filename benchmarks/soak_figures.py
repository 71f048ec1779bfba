"""What the samples of a soak say: medians, worsts, growth. Pure; knows the file that a soak writes, and no tower."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

SCHEMA = 1
ENDS_S, ENDS_PART = 300.0, 1 / 3  # growth: from the first five minutes to the last, of short soaks from third to third
SPEED_S = 60.0  # jobs/s are of the last minute
WARM_S, HOUR_S = 60.0, 3600.0
MB = 1e6


class NoSoak(Exception):
    """A file that no soak has written."""


@dataclass(frozen=True, slots=True)
class Row:
    """A series in short. `first`, `last`: medians of the first and the last five minutes; None: nothing was sampled."""

    what: str
    unit: str
    median: float | None
    worst: float | None
    first: float | None = None
    last: float | None = None
    slope: float | None = None  # per hour, within the longest life of the process

    @property
    def growth(self) -> float | None:
        return None if self.first is None or self.last is None else self.last - self.first


Points = Sequence[tuple[float, float]]  # (seconds, value)


def read(path: Path) -> dict[str, Any]:
    """What a soak wrote. Raises NoSoak."""
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA or not held["samples"]:
            raise NoSoak(f"{path}: no samples of schema {SCHEMA}: soak again")
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise NoSoak(f"{path}: nothing that `make soak` wrote: {err}") from err
    return held


def processes(samples: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names, in the order in which they were seen first."""
    return list(dict.fromkeys(name for one in samples for name in one["processes"]))


def series(samples: Iterable[Mapping[str, Any]], process: str, what: str) -> Points:
    """`memory` in MB or `descriptors` of a process, where it lived."""
    scale = MB if what == "memory" else 1
    held = ((one["at"], one["processes"].get(process)) for one in samples)
    return [(at, seen[what] / scale) for at, seen in held if seen]


def told(samples: Iterable[Mapping[str, Any]], what: str) -> Points:
    """A number that a sample has of the whole tower; left out where it could not be had."""
    return [(one["at"], one[what]) for one in samples if one[what] is not None]


def speed(samples: Sequence[Mapping[str, Any]]) -> Points:
    """Jobs/s that PanDA's books take for finished, over the minute before each sample."""
    found, start = [], 0
    for now in samples:
        while now["at"] - samples[start]["at"] > SPEED_S:
            start += 1
        if took := now["at"] - samples[start]["at"]:
            found.append((now["at"], (now["finished"] - samples[start]["finished"]) / took))
    return found


def between(points: Points, begin: float, end: float) -> list[float]:
    return [value for at, value in points if begin <= at <= end]


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def slope(samples: Sequence[Mapping[str, Any]], process: str, what: str) -> float | None:
    """Growth per hour within the longest life of a process, its first minute left out; None: none lived long enough.

    A process that is started again hides what it had grown by; within one life nothing is hidden.
    """
    alive = [one for one in samples if process in one["processes"]]
    lives = [list(life) for _, life in groupby(alive, lambda one: one["processes"][process]["pid"])]
    longest = max(lives, key=lambda life: life[-1]["at"] - life[0]["at"], default=[])
    points = [(at, value) for at, value in series(longest, process, what) if at - longest[0]["at"] >= WARM_S]
    if len(points) < 3:
        return None
    return HOUR_S * statistics.linear_regression(*zip(*points, strict=True)).slope


def rows(held: Mapping[str, Any]) -> list[Row]:
    """The table of the docs: of the samples from the first order to the last."""
    seconds = float(held["options"]["seconds"])
    samples = [one for one in held["samples"] if one["at"] <= seconds]
    ends = min(ENDS_S, ENDS_PART * seconds)
    found = [
        _row("finished by PanDA's books", "jobs/s", [p for p in speed(samples) if p[0] >= min(SPEED_S, ends)], min)
    ]
    found += [
        _row(words, unit, told(samples, what))
        for what, words, unit in (
            ("waiting", "ordered and not over", "jobs"),
            ("sweep_late", "status sweep late", "s"),
            ("heartbeat_late", "oldest heartbeat late", "s"),
        )
    ]
    for what, unit in (("memory", "MB"), ("descriptors", "")):
        for name in processes(samples):
            points = series(samples, name, what)
            first, last = median(between(points, 0, ends)), median(between(points, seconds - ends, seconds))
            plain = _row(f"{what} of {name}", unit, points)
            grown = slope(samples, name, what)
            found.append(Row(plain.what, unit, plain.median, plain.worst, first, last, grown))
    return found


def _row(what: str, unit: str, points: Points, worst: Callable[[list[float]], float] = max) -> Row:
    values = [value for _, value in points]
    return Row(what, unit, median(values), worst(values) if values else None)
