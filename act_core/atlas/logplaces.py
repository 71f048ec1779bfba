"""Where a job's logs lie in the web area, and their addresses: `<day>/<queue>/<PandaID>.out`, analysis apart. Pure."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from act_core.settings.app_model import ANALYSIS, JobLog
from act_core.settings.model import Settings

PRIVATE = "private-jobs"  # the part of the area that a web server can protect; no instance can be called so
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")
_LONGEST = 100


class Kind(StrEnum):
    """What of a job is published."""

    OUT = "out"  # the pilot's output
    LOG = "log"  # the CE's errors
    STORY = "story"  # ours


@dataclass(frozen=True, slots=True)
class Place:
    """A job's place, relative to the area."""

    folder: PurePosixPath
    panda_id: int
    private: bool

    def path(self, kind: Kind) -> PurePosixPath:
        return self.folder / f"{self.panda_id}.{kind}"


def area(settings: Settings) -> Path:
    return settings.app.joblog.dir or settings.app_dir / "joblog"


def place_of(joblog: JobLog, booked: datetime, queue: str, panda_id: int, label: str) -> Place | None:
    """None: nothing of the job is published. `booked`: when it was taken.

    `label`: a job without one, which nobody could read, counts as analysis.
    """
    analysis = label in ANALYSIS or not label
    if not joblog.urlprefix or (analysis and joblog.analysis == "off"):
        return None
    private = analysis and joblog.analysis == "private"
    folder = PurePosixPath(f"{booked:%Y-%m-%d}", safe(queue))
    return Place(PRIVATE / folder if private else folder, panda_id, private)


def address(joblog: JobLog, place: Place, kind: Kind = Kind.OUT) -> str:
    return f"{joblog.urlprefix.rstrip('/')}/{place.path(kind)}"


def log_url(joblog: JobLog, booked: datetime, queue: str, panda_id: int, label: str) -> str | None:
    """Where the pilot's output will be published; None: nowhere."""
    place = place_of(joblog, booked, queue, panda_id, label)
    return None if place is None else address(joblog, place)


def safe(name: str) -> str:
    """One part of a path and of an address. What had to be changed ends with a digest of what it was."""
    plain = _UNSAFE.sub("_", name).lstrip(".")[:_LONGEST]
    return (
        plain if plain and plain == name else f"{plain}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    )
