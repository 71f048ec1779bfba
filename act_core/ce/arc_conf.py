"""What of an arc.conf a client on the same host has to know. Pure; the file's own defaults hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from act_core.errors import ConfigError

CONTROL_DIR, SESSION_DIR = "/var/spool/arc/jobstatus", "/var/spool/arc/sessiondir"
_BLOCK = re.compile(r"\[\s*([^\]]+?)\s*\]")


@dataclass(frozen=True, slots=True)
class ArcConf:
    """Paths are absolute. `sessions`: those that take new jobs; `most`: jobs, ended ones too, that A-REX will have."""

    control: Path
    sessions: tuple[Path, ...]
    lrms: str
    queues: tuple[str, ...]
    default_queue: str | None
    host: str
    takes_jobs: bool
    most: int | None = None

    def queue_for(self, wanted: str | None) -> str | None:
        """The queue that A-REX would give a job; None: there is no such queue."""
        name = wanted or self.default_queue or next(iter(self.queues), None)
        return name if name in self.queues else None


def read_conf(text: str) -> ArcConf:
    """Raises ConfigError for what this client cannot follow."""
    said: dict[tuple[str, str], list[str]] = {}
    queues: list[str] = []
    for block, key, value in _lines(text):
        if not key:
            queues += [block.removeprefix("queue:")] if block.startswith("queue:") else []
        else:
            said.setdefault((block, key), []).append(value)
    lrms = " ".join(said.get(("lrms", "lrms"), ["fork"])[-1:]).split()
    limits = " ".join(said.get(("arex", "maxjobs"), [])[-1:]).split()
    sessions = [value.split() for value in said.get(("arex", "sessiondir"), [SESSION_DIR])]
    return ArcConf(
        control=_absolute(said.get(("arex", "controldir"), [CONTROL_DIR])[-1], "controldir"),
        sessions=tuple(_absolute(words[0], "sessiondir") for words in sessions if words and "drain" not in words[1:]),
        lrms=lrms[0] if lrms else "fork",
        queues=tuple(queues),
        default_queue=lrms[1] if len(lrms) > 1 else None,
        host=said.get(("common", "hostname"), ["localhost"])[-1],
        takes_jobs=said.get(("arex/ws/jobs", "allownew"), ["yes"])[-1].lower() != "no",
        most=int(limits[3]) if len(limits) > 3 and limits[3].isdigit() else None,
    )


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """(block, key, value); a block begins with an empty key."""
    block = ""
    for line in (one.strip() for one in text.splitlines()):
        if line.startswith("[") and (found := _BLOCK.match(line)):
            block = re.sub(r"\s*:\s*", ":", found.group(1))
            yield block, "", ""
        elif line and not line.startswith(("#", ";")) and "=" in line:
            key, _, value = line.partition("=")
            yield block, key.strip(), value.strip().strip("\"'")


def _absolute(value: str, key: str) -> Path:
    if not value.startswith("/") or "%" in value:
        raise ConfigError(f"{key}={value}: only an absolute path without * and % can be used from outside A-REX")
    return Path(value)
