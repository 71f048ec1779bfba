"""What the pilot leaves in native mode: `heartbeat.json`, in the legacy names of `updateJob`, typed at the door."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from act_core.atlas.lenient import present, text, whole
from act_core.atlas.reports import Update, fits
from act_core.errors import BadInput
from act_core.foreign import read_json
from act_core.words import clean

LARGEST = 16 * 1024 * 1024  # characters of the file
MOST_FILES, LONGEST_NAMES = 10_000, 1024 * 1024  # outputs, and the characters of all their names
# Characters as JSON. A PanDA job's row is written in one statement, of which MariaDB takes 16 MB with all its escapes.
LONGEST: Mapping[str, int] = {
    "meta_data": 2 * 1024 * 1024,
    "job_output_report": 1024 * 1024,
    "stdout": 64 * 1024,
    "corrupted_files": 64 * 1024,
    "grid": 64 * 1024,
}

# legacy names that do not follow from ours, and what of a pilot's report is not its business here
_RENAMED = {"xml": "job_output_report"}
_NOT_ITS = frozenset({"job_id", "job_status", "attempt_nr", "start_time", "end_time", "scheduler_id", "site_name"})

_WHOLE = frozenset(
    {
        "trans_exit_code",
        "pilot_error_code",
        "exe_error_code",
        "n_events",
        "n_input_files",
        "cpu_consumption_time",
        "core_count",
        "mean_core_count",
    }
)
_AMOUNTS = ("cpu_conversion_factor", "max_", "avg_", "tot_", "rate_")

Value = str | int | float
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reported:
    """A file that the pilot says it wrote: size in bytes, adler32 as 8 hexadecimal digits."""

    lfn: str
    url: str | None
    size: int | None
    adler32: str | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The pilot's report. `fields`: those that an Update has, with their types; times are epoch seconds."""

    finished: bool
    fields: Mapping[str, Value]
    outputs: tuple[Reported, ...] = ()
    started: float | None = None
    ended: float | None = None
    dropped: tuple[str, ...] = field(default=())  # fields with values that PanDA has no form or no column for
    too_long: tuple[str, ...] = field(default=())  # fields whose values were left out


def parse_heartbeat(content: str, panda_id: int) -> Heartbeat:
    """Raises BadInput: no report, or one of another job."""
    if len(content) > LARGEST:
        raise BadInput(f"heartbeat.json of job {panda_id} has more than {LARGEST} characters")
    try:
        said = read_json(content)
    except ValueError as err:
        raise BadInput(f"heartbeat.json of job {panda_id} is not JSON: {err}") from err
    if not isinstance(said, dict):
        raise BadInput(f"heartbeat.json of job {panda_id} is no object")
    if _soft(whole, said.get("jobId")) != panda_id:
        raise BadInput(f"heartbeat.json of job {panda_id} is about job {str(said.get('jobId'))[:40]!r}")
    fields, dropped = _fields(said)
    too_long = tuple(name for name, most in LONGEST.items() if len(json.dumps(fields.get(name))) > most)
    return Heartbeat(
        finished=said.get("state") == "finished",
        fields={name: value for name, value in fields.items() if name not in too_long},
        outputs=_outputs(panda_id, said.get("xml")),
        started=_number(said.get("startTime")),
        ended=_number(said.get("endTime")),
        dropped=dropped,
        too_long=too_long,
    )


def _fields(said: Mapping[str, object]) -> tuple[dict[str, Value], tuple[str, ...]]:
    fields: dict[str, Value] = {}
    dropped: list[str] = []
    for name, given in said.items():
        ours = _RENAMED.get(name) or _NAMES.get(_plain(name))
        if ours is None or present(given) is None:
            continue
        value = _typed(ours, given)
        if value is None or not fits(ours, value):
            dropped.append(ours)
        else:
            fields[ours] = value
    return fields, tuple(dict.fromkeys(dropped))


def _typed(name: str, given: object) -> Value | None:
    """The value in the type that the server insists on; None: it has no such form."""
    if name in _WHOLE:
        return _soft(whole, given)
    if name.startswith(_AMOUNTS):
        number = _number(given)
        return int(number) if number is not None and number.is_integer() else number
    # metaData and xml are JSON texts; some pilots leave the object itself
    return json.dumps(given) if isinstance(given, dict | list) else _soft(text, given)


def _outputs(panda_id: int, listed: object) -> tuple[Reported, ...]:
    """`xml`: JSON text, LFN → {guid, fsize, adler32, surl}."""
    if present(listed) is None:
        return ()
    try:
        files = read_json(listed) if isinstance(listed, str) else listed
    except ValueError as err:
        raise BadInput(f"heartbeat.json of job {panda_id}: xml is not JSON: {err}") from err
    if not isinstance(files, dict) or len(files) > MOST_FILES:
        raise BadInput(f"heartbeat.json of job {panda_id}: xml is no list of files")
    outputs = tuple(_reported(panda_id, clean(lfn), facts) for lfn, facts in files.items())
    if sum(len(file.lfn) + len(file.url or "") for file in outputs) > LONGEST_NAMES:
        raise BadInput(f"heartbeat.json of job {panda_id}: xml: the names of its files are too long")
    return outputs


def _reported(panda_id: int, lfn: str, facts: object) -> Reported:
    if not isinstance(facts, dict):
        raise BadInput(f"heartbeat.json of job {panda_id}: xml: {lfn[:80]!r} is no object")
    adler = _soft(text, facts.get("adler32"))
    size = _soft(whole, facts.get("fsize"))
    digits = adler.lower().rjust(8, "0") if adler else None
    return Reported(lfn, _soft(text, facts.get("surl")), size, digits)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _soft(read: Callable[[object], T | None], value: object) -> T | None:
    try:
        return read(value)
    except ValueError:
        return None


def _plain(name: str) -> str:
    """cpuConsumptionTime, cpu_consumption_time and maxRSS, max_rss meet here."""
    return name.replace("_", "").lower()


_NAMES = {_plain(name): name for name in Update.model_fields if name not in _NOT_ITS}
