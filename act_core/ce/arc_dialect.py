"""What A-REX says, as our values: states, lists, documents. Pure; tried on recorded answers of 6.17 and 7."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from act_core.ce.base import Capacity, Facts, RemoteId, Seen
from act_core.errors import ProtocolError
from act_core.foreign import read_json
from act_core.states import CeState
from act_core.words import clean

_S = CeState
STATES: Mapping[str, CeState | None] = {
    "ACCEPTING": _S.SUBMITTED,
    "ACCEPTED": _S.SUBMITTED,
    "PREPARING": _S.SUBMITTED,
    "PREPARED": _S.SUBMITTED,
    "SUBMITTING": _S.SUBMITTED,
    "QUEUING": _S.SUBMITTED,
    "RUNNING": _S.RUNNING,
    "EXITINGLRMS": _S.RUNNING,
    "EXECUTED": _S.RUNNING,
    "OTHER": None,
    "KILLING": None,
    "HELD": _S.HOLDING,
    "FINISHING": _S.FINISHING,
    "FINISHED": _S.FINISHED,
    "FAILED": _S.FAILED,
    "KILLED": _S.CANCELLED,
    "WIPED": _S.LOST,  # as the control directory itself has it
}
KILLED = "KILLED"
ENDED = ("FINISHED", "FAILED", KILLED)
# Of a job that was removed, its record kept. A list of jobs in given states says it for a moment of any job whose state
# A-REX moves from one of its directories to another (6.17 and 7): it is no end, but an absence, and believed as one.
WIPED = "WIPED"
RESTARTABLE = ("PREPARING", "FINISHING")
ABSURD_CPU_S = 10_000_000  # per core: some batch systems report nonsense
MOST = 2**31 - 1  # what a column holds; a larger number is nonsense
_ID = re.compile("[A-Za-z0-9_-]{1,200}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_DIAG_TIME = "%Y%m%d%H%M%SZ"


def seen(word: str) -> Seen:
    """A REST state. An unknown word moves nothing."""
    return Seen(STATES.get(word.upper()), _said(word)[:64])


def document(body: bytes) -> Any:
    """JSON; an empty body is an empty object (6.17). Raises ProtocolError."""
    if not body.strip():
        return {}
    try:
        return read_json(body)
    except ValueError as err:
        raise ProtocolError(f"the CE's answer is not JSON: {body[:80]!r}") from err


def many(value: object) -> list[Any]:
    """One or many: 6.17 writes a list of one as the bare element, and nothing for an empty one."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def entries(body: bytes) -> list[Mapping[str, Any]]:
    """The elements of `{"job": …}`. A list that holds anything else is no list: it must not pass for an empty one."""
    read = document(body)
    if not isinstance(read, dict):
        raise ProtocolError(f"the CE answers {type(read).__name__} where an object is wanted")
    found = many(read.get("job"))
    if odd := [one for one in found if not isinstance(one, dict)]:
        raise ProtocolError(f"the CE lists {odd[0]!r:.80} where a job is wanted")
    return found


def job_id(entry: Mapping[str, Any]) -> RemoteId | None:
    """The id of an element, if it has one. Raises ProtocolError for one that cannot stand in a path."""
    found = str(entry.get("id") or "")
    if found and not _ID.fullmatch(found):
        raise ProtocolError(f"the CE gives a job the id {found[:80]!r}")
    return RemoteId(found) if found else None


def possible(job: str) -> bool:
    """Whether A-REX can have given this id. Any other one must not get into a path or a list."""
    return _ID.fullmatch(job) is not None


def by_id(body: bytes) -> dict[RemoteId, Mapping[str, Any]]:
    """Results by job id: never by position."""
    return {job: one for one in entries(body) if (job := job_id(one))}


def listed(body: bytes) -> list[RemoteId]:
    """The ids of a list of jobs. Raises ProtocolError for an element without id: the list would not be complete."""
    ids = [job_id(one) for one in entries(body)]
    if None in ids:
        raise ProtocolError("the CE lists a job without id")
    return [job for job in ids if job]


def code(entry: Mapping[str, Any]) -> int:
    """The status of one element; 0 if it has none."""
    word = str(entry.get("status-code", ""))
    return int(word) if re.fullmatch("[0-9]{3}", word) else 0


def reason(entry: Mapping[str, Any]) -> str:
    return _said(entry.get("reason")) or "no reason given"


def versions(body: bytes) -> list[str]:
    read = document(body)
    return [str(one) for one in many(read.get("version") if isinstance(read, dict) else None)]


def activity(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ComputingActivity of an `info` element; empty if there is none."""
    info = entry.get("info_document")
    found = info.get("ComputingActivity") if isinstance(info, dict) else None
    return found if isinstance(found, dict) else {}


def name_of(entry: Mapping[str, Any]) -> str | None:
    """The job's name; None while the document has none (in ACCEPTING)."""
    return _said(activity(entry).get("Name")) or None


def state_of(said: Mapping[str, Any], key: str = "State") -> str:
    """The REST state among the states of a document."""
    words = (str(one) for one in many(said.get(key)))
    return next((word.removeprefix("arcrest:") for word in words if word.startswith("arcrest:")), "")


def facts(said: Mapping[str, Any]) -> Facts:
    """What a document tells; `complete` only when it knows of the job's end, and how it was.

    One that was written while A-REX itself wrote has the end and no exit code.
    """
    cores = _amount(said.get("RequestedSlots"))
    restart = state_of(said, "RestartState")
    errors = "; ".join(_said(one) for one in many(said.get("Error")))
    exit_code, state = _number(said.get("ExitCode")), state_of(said)
    return Facts(
        complete=state in ENDED and (exit_code is not None or bool(errors) or state == KILLED),
        exit_code=exit_code,
        error=errors or None,
        node=",".join(_said(one) for one in many(said.get("ExecutionNode"))) or None,
        batch_id=_said(said.get("LocalIDFromManager")) or None,
        queue=_said(said.get("Queue")) or None,
        wall_s=_wall(said, cores),
        cpu_s=_cpu(_number(said.get("UsedTotalCPUTime")), cores),
        memory_kb=_amount(said.get("UsedMainMemory"), 2**53),
        cores=cores or None,
        started=_time(said.get("StartTime"), _TIME),
        ended=_time(said.get("ComputingManagerEndTime"), _TIME) or _time(said.get("EndTime"), _TIME),
        restart_at=restart if restart in RESTARTABLE else None,
    )


def _wall(said: Mapping[str, Any], cores: int | None) -> int | None:
    """UsedTotalWallTime is summed over the slots; without it, what lies between start and end."""
    total = _number(said.get("UsedTotalWallTime"), 2**53)
    if total is not None:
        return _fits(total // max(cores or 1, 1))
    begin, end = _time(said.get("StartTime"), _TIME), _time(said.get("ComputingManagerEndTime"), _TIME)
    return _fits(max(0, int((end - begin).total_seconds()))) if begin and end else None


def _cpu(seconds: int | None, cores: int | None) -> int | None:
    if seconds is None or not 0 <= seconds <= ABSURD_CPU_S * max(cores or 1, 1):
        return None
    return _fits(seconds)


def pairs(text: str) -> dict[str, str]:
    """The lines `name=value` of a control file, names in lower case; of equal names the last one."""
    lines = (line.partition("=") for line in text.splitlines())
    return {name.strip().lower(): _said(value) for name, _, value in lines if value.strip()}


def control_files(text: str, failed: str, local: str = "") -> Facts:
    """The control files `diag`, `failed` and `local`: fresh where the document is late.

    `complete` once they tell an end: an exit code, or a reason of failure.
    """
    said, restart = pairs(text), pairs(local).get("failedstate", "")
    user, kernel = _number(said.get("usertime")), _number(said.get("kerneltime"))
    cores = _amount(said.get("processors"))
    used = (user or 0) + (kernel or 0) if user is not None or kernel is not None else None
    exit_code, error = _number(said.get("exitcode")), _said(" ".join(failed.split()))
    return Facts(
        complete=exit_code is not None or bool(error),
        exit_code=exit_code,
        error=error or None,
        node=said.get("nodename"),
        batch_id=pairs(local).get("localid"),
        wall_s=_amount(said.get("walltime")),
        cpu_s=_cpu(used, cores),
        memory_kb=_amount(said.get("maxresidentmemory"), 2**53) or _amount(said.get("averagetotalmemory"), 2**53),
        cores=cores or None,
        started=_time(said.get("lrmsstarttime"), _DIAG_TIME),
        ended=_time(said.get("lrmsendtime"), _DIAG_TIME),
        restart_at=restart if error and restart in RESTARTABLE else None,
    )


_LATE = ("queue", "node", "batch_id", "cores", "started")


def together(fresh: Facts, late: Facts) -> Facts:
    """What the control files tell, and from the late document what they do not tell and does not change."""
    known = {name: getattr(late, name) for name in _LATE if not getattr(fresh, name)}
    return replace(fresh, **known)


def listing(body: bytes) -> tuple[list[str], list[str]]:
    """Files and directories of a session directory."""
    read = document(body)
    if not isinstance(read, dict):
        raise ProtocolError("a listing of a session directory is no object")
    return _names(read.get("file")), _names(read.get("dir"))


def _names(value: object) -> list[str]:
    """What is no name must not pass for one: the file that was meant would be taken for missing."""
    found = many(value)
    if not all(isinstance(one, str) for one in found):
        raise ProtocolError("a listing of a session directory has names that are none")
    return found


def capacity(body: bytes) -> Capacity:
    """What the JSON of an information document says."""
    return capacity_in(document(body))


def capacity_in(read: object) -> Capacity:
    """GLUE2, of which any list may be a bare element."""
    service = next(_walk(read, ("Domains", "AdminDomain", "Services", "ComputingService")), {})
    manager = next(_walk(service, ("ComputingManager",)), {})
    shares = list(_walk(service, ("ComputingShare",)))
    real = [share for share in shares if not share.get("MappingPolicy")] or shares
    queues = tuple(dict.fromkeys(_said(one["MappingQueue"]) for one in real if one.get("MappingQueue")))
    version = " ".join(_said(manager[key]) for key in ("ProductName", "ProductVersion") if manager.get(key))
    return Capacity(
        total_slots=_number(manager.get("TotalSlots")),
        free_slots=max((n for one in real if (n := _number(one.get("FreeSlots"))) is not None), default=None),
        running=_number(service.get("RunningJobs")),
        queued=_number(service.get("WaitingJobs")),
        version=version or None,
        queues=queues,
    )


def _walk(read: object, path: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for one in many(read):
        if not isinstance(one, dict):
            continue
        if not path:
            yield one
        else:
            yield from _walk(one.get(path[0]), path[1:])


def _number(value: object, most: int = MOST) -> int | None:
    """The number that a text begins with (`12.3s` is 12); None for one that is larger than `most`."""
    found = re.match(r"\s*(-?[0-9]{1,18})(?![0-9])", str(value)) if value not in (None, "") else None
    number = int(found.group(1)) if found else None
    return number if number is not None and abs(number) <= most else None


def _amount(value: object, most: int = MOST) -> int | None:
    number = _number(value, most)
    return number if number is not None and number >= 0 else None


def _fits(number: int) -> int | None:
    return number if 0 <= number <= MOST else None


def _said(value: object) -> str:
    """A text as it can be stored: half surrogate pairs, which JSON can carry, are replaced."""
    return clean(str(value).strip()) if value is not None else ""


def _time(value: object, form: str) -> datetime | None:
    try:
        return datetime.strptime(str(value), form).replace(tzinfo=UTC)
    except ValueError:
        return None
