"""What came home of an attempt: foreign files, listed below its directory, and no link followed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_FILES, DEEPEST = 200, 6
_ENDS = {
    "err": ("stderr", "stderr.txt", ".err"),
    "out": ("stdout", "stdout.txt", ".out", "pilotlog.txt", "payload.txt"),
    "log": (".log", "/errors", "/diag", "/local", "/status"),
    "list": (".list", "heartbeat.json"),
}


@dataclass(frozen=True, slots=True)
class FileLine:
    """A file that came home. `kind`: out, err, log (the CE's own), list or other."""

    name: str  # below the attempt's directory
    size: int
    kind: str


def home_files(directory: Path, most: int = MOST_FILES) -> tuple[tuple[FileLine, ...], bool]:
    """Plain files by name, at most so many, and whether there are more."""
    found: list[FileLine] = []
    for name, size in _plain(directory, "", 0):
        if len(found) == most:
            return tuple(found), True
        found.append(FileLine(name, size, kind_of(name)))
    return tuple(found), False


def kind_of(name: str) -> str:
    low = name.lower()
    return next((kind for kind, ends in _ENDS.items() if low.endswith(ends)), "other")


def _plain(directory: Path, above: str, depth: int) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(directory) as entries:
            here = sorted(entries, key=lambda one: one.name)
    except OSError:
        return
    for one in here:
        name = f"{above}{one.name}"
        if one.is_file(follow_symlinks=False):
            yield name, one.stat(follow_symlinks=False).st_size
        elif one.is_dir(follow_symlinks=False) and depth < DEEPEST:
            yield from _plain(directory / one.name, f"{name}/", depth + 1)
