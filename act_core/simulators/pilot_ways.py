"""How the simulated pilot dies, or lies: the ways, what each does to what it leaves, and where it ends at once.

Standard library only: it is shipped to worker nodes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Produced(NamedTuple):
    """Files by name (outputs, log, heartbeat.json, output.list), the exit code, and the report of heartbeat.json."""

    files: dict[str, bytes]
    exit_code: int
    report: dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way to die. `sudden`: the exit code of one that leaves nothing; `true_only`: a native pilot ends well."""

    words: str
    sudden: int | None = None
    true_only: bool = False


BEFORE_WORD, AFTER_RUNNING, STAGE_IN, STAGE_OUT = "before-word", "after-running", "stage-in", "stage-out"
KILLED, OOM, HANG, WRONG_CHECKSUM = "killed", "oom", "hang", "wrong-checksum"
TRUNCATED, GARBAGE, NO_REPORT, LOST_FINAL = "truncated-heartbeat", "garbage-heartbeat", "no-report", "lost-final"
FINAL_TWICE, FINISHED_BUT_FAILS, FAILED_BUT_OK, DEAF = "final-twice", "finished-but-fails", "failed-but-ok", "deaf"

WAYS: Mapping[str, Way] = {
    BEFORE_WORD: Way("ends before it says anything or runs anything", sudden=1),
    STAGE_IN: Way("an input cannot be had"),
    AFTER_RUNNING: Way("ends once the payload runs, and leaves nothing", sudden=1),
    KILLED: Way("a signal kills it while the payload runs", sudden=137),
    OOM: Way("ends as the kernel's out-of-memory killer ends jobs", sudden=137),
    HANG: Way("hangs while the payload runs, until its CE or somebody ends it", sudden=137),
    STAGE_OUT: Way("some outputs do not reach storage"),
    WRONG_CHECKSUM: Way("tells a checksum that the outputs do not have"),
    TRUNCATED: Way("heartbeat.json ends in its middle (a true pilot's final report does)"),
    GARBAGE: Way("heartbeat.json is garbage (so is a true pilot's final report)"),
    NO_REPORT: Way("exit code 0, and neither report nor outputs"),
    LOST_FINAL: Way("all is stored, and the final report is lost"),
    FINAL_TWICE: Way("says its end twice", true_only=True),
    FINISHED_BUT_FAILS: Way("says finished, and its CE job fails"),
    FAILED_BUT_OK: Way("says failed, and its CE job ends well"),
    DEAF: Way("heeds no kill order, and goes on talking when its job was given up", true_only=True),
}
_FALSE_CHECKSUM = "deadbeef"
_LEFT_OUT = {NO_REPORT, LOST_FINAL}


def checked(way: str) -> str:
    """The way itself, or none. Raises ValueError."""
    if way and way not in WAYS:
        raise ValueError(f"{way!r} is no way to die; there are {', '.join(WAYS)}")
    return way


def spoiled(produced: Produced, way: str) -> Produced:
    """What a native pilot leaves that dies like this after its payload has run; true pilots: see `pilot_run`."""
    files, report = dict(produced.files), produced.report
    if way == WRONG_CHECKSUM:
        report = lying(report)
        files["heartbeat.json"] = json.dumps(report).encode()
    elif way == TRUNCATED:
        files["heartbeat.json"] = files["heartbeat.json"][: len(files["heartbeat.json"]) // 2]
    elif way == GARBAGE:
        files["heartbeat.json"] = b"\x00\xff{{{ heartbeat"
    elif way == NO_REPORT:
        files = {}
    elif way == LOST_FINAL:
        del files["heartbeat.json"]
    elif way == STAGE_OUT:
        files.pop(next(iter(files)))
    return Produced(files, exit_code(produced.exit_code, way), report)


def exit_code(honest: int, way: str) -> int:
    """What the CE sees."""
    if way == FINISHED_BUT_FAILS:
        return honest or 1
    return 0 if way in (FAILED_BUT_OK, *_LEFT_OUT) else honest


def lying(report: Mapping[str, Any]) -> dict[str, Any]:
    """The same report with a wrong checksum for each file."""
    files = {lfn: facts | {"adler32": _FALSE_CHECKSUM} for lfn, facts in json.loads(report["xml"]).items()}
    return {**report, "xml": json.dumps(files)}
