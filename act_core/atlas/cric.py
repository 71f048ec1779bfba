"""CRIC's pandaqueue feed, parsed entry by entry: what the tower uses of a queue, and whether it serves it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from act_core.atlas.cric_endpoints import CeEndpoint, configured_endpoints, cric_endpoints
from act_core.atlas.lenient import Flag, Text, Whole, csv, present, text
from act_core.errors import BadInput
from act_core.settings.app_model import Cric, PandaSite
from act_core.settings.model import Site

LARGEST_ENTRY = 1024 * 1024  # characters; one has about 40,000
LARGEST_COREPOWER = 1000
LONGEST_WALLTIME = 7 * 24 * 60  # minutes, where CRIC says nothing or more
STATUSES = frozenset({"online", "offline", "test", "brokeroff", "paused", "standby"})
SERVED_KINDS = frozenset({"arc-rest", "arc-internal", "local"})  # native queues: the CE moves the data
PILOT_KINDS = SERVED_KINDS | {"htcondor"}  # true-pilot queues: the pilot does

QueueType = Literal["production", "analysis", "unified"]
T = TypeVar("T")


class Queue(BaseModel):
    """A PanDA queue. Memory in MB; times in minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    schedconfig: str  # the name that the pilot is told
    status: str = "online"
    state: str = "ACTIVE"
    type: QueueType = "production"
    capability: str = ""
    resource_type: str = ""
    served: bool = True
    why: str = ""  # it is not served
    push: bool = True
    truepilot: bool = False
    cores: int = 1
    corecount: int | None = None  # None: nobody says how many cores a job may have
    corepower: float | None = None
    maxrss: int | None = None
    per_core: bool = False  # maxrss and maxwdir are per core, not per queue slot
    maxwalltime: int = LONGEST_WALLTIME
    unlimited: bool = False  # nobody says how long jobs may run: maxwalltime is ours
    maxjobs: int = 0
    pilot_version: str | None = None
    python_version: str | None = None
    pilot_args: str = ""
    pilot_url: str | None = None
    cricjsons: bool = False
    endpoints: tuple[CeEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """`stored`: what is kept of each queue, as JSON has it; `raw`: its entry as it came. `problems` name the entry;
    `unreadable` are skipped as a whole.
    """

    queues: Mapping[str, Queue]
    stored: Mapping[str, Mapping[str, Any]]
    raw: Mapping[str, str]
    problems: tuple[str, ...]
    unreadable: frozenset[str] = frozenset()


def _tools(value: object) -> tuple[str, ...]:
    """A list, or an object whose keys matter."""
    value = present(value)
    if value is None:
        return ()
    if isinstance(value, Mapping | list):
        return tuple(str(item) for item in value)
    raise ValueError("neither a list nor an object")


def _object(value: object) -> object:
    return {} if present(value) is None else value


def _power(value: object) -> float | None:
    """HS06 or HS23 of a core; None for what is none."""
    try:
        power = float(str(value))
    except ValueError:
        return None
    return power if 0 < power <= LARGEST_COREPOWER else None


def _list(value: object) -> object:
    return [] if present(value) is None else value


class _Params(BaseModel):
    pilot_args: Text = None
    pilot_url: Text = None


class _Acopytools(BaseModel):
    pr: Annotated[tuple[str, ...], BeforeValidator(_tools)] = ()


class _Entry(BaseModel):
    """The keys of an entry that the tower reads, of about 130."""

    state: Annotated[str | None, BeforeValidator(text)] = None
    status: Text = None
    is_virtual: Flag = False
    type: Text = None
    workflow: Text = None
    capability: Text = None
    resource_type: Text = None
    pilot_manager: Text = None
    pilot_version: Text = None
    python_version: Text = None
    corecount: Whole = None
    corepower: Annotated[float | None, BeforeValidator(_power)] = None
    maxrss: Whole = None
    maxtime: Whole = None  # seconds
    catchall: Annotated[list[str | None], BeforeValidator(csv)] = Field(default_factory=list)
    params: Annotated[_Params, BeforeValidator(_object)] = _Params()
    copytools: Annotated[tuple[str, ...], BeforeValidator(_tools)] = ()
    acopytools: Annotated[_Acopytools, BeforeValidator(_object)] = _Acopytools()
    queues: Annotated[list[object], BeforeValidator(_list)] = Field(default_factory=list)


def parse_queues(
    feed: str | bytes, cric: Cric, panda_sites: Mapping[str, PandaSite], arc_sites: Mapping[str, Site]
) -> Parsed:
    """Every readable queue of the feed, and those that only the configuration names; bad entries are told and skipped.

    Raises BadInput when the feed as a whole is no JSON object.
    """
    queues: dict[str, Queue] = {}
    stored: dict[str, Mapping[str, Any]] = {}
    raw: dict[str, str] = {}
    problems: list[str] = []
    entries = {name: {} for name in panda_sites} | _entries(feed)
    for name, entry in entries.items():
        try:
            raw[name] = _bounded(json.dumps(entry))
            queue = _queue(name, entry, cric, panda_sites.get(name), arc_sites, problems)
            stored[name] = json.loads(queue.model_dump_json())
            queues[name] = queue
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            problems.append(f"queue {name[:80]!r}: {field}: {first['msg'].removeprefix('Value error, ')}")
        except (ValueError, RecursionError) as err:
            problems.append(f"queue {name[:80]!r}: {err}")
    return Parsed(queues, stored, raw, tuple(problems), frozenset(set(entries) - set(queues)))


def _bounded(entry: str) -> str:
    if len(entry) > LARGEST_ENTRY:
        raise ValueError(f"{len(entry)} characters, more than {LARGEST_ENTRY}")
    return entry


def _entries(feed: str | bytes) -> dict[str, object]:
    try:
        entries = json.loads(feed)
    except (ValueError, RecursionError) as err:
        raise BadInput(f"CRIC's queues are not JSON: {err}") from err
    if not isinstance(entries, dict):
        raise BadInput(f"CRIC's queues are no object but {type(entries).__name__}")
    return entries


def _queue(
    name: str,
    raw: object,
    cric: Cric,
    site: PandaSite | None,
    arc_sites: Mapping[str, Site],
    problems: list[str],
) -> Queue:
    """One entry, with what the configuration sets on top. Raises ValueError, ValidationError."""
    if not name.isascii() or not name.isprintable() or " " in name or not 0 < len(name) <= 128:
        raise ValueError("no name of a queue")
    entry = _Entry.model_validate(raw)
    said = site or PandaSite()
    found = cric_endpoints(entry.queues, arc_sites, name, problems)
    endpoints = configured_endpoints(said.endpoints, arc_sites, name, problems) if said.endpoints else found
    queue = Queue(
        name=name,
        schedconfig=said.schedconfig or name,
        status=said.status or entry.status or ("online" if site else "unknown"),
        state=entry.state or "",
        type=said.type or _type(entry.type),
        capability=entry.capability or "",
        resource_type=entry.resource_type or "",
        push=_first(said.push, "push" in (entry.workflow or "push")),
        truepilot=_first(said.truepilot, _truepilot(entry) if raw else False),
        maxjobs=_first(said.maxjobs, cric.maxjobs),
        pilot_version=entry.pilot_version,
        python_version=entry.python_version,
        pilot_args=entry.params.pilot_args or "",
        pilot_url=entry.params.pilot_url,
        cricjsons=said.cricjsons,
        endpoints=endpoints,
        **_limits(entry, said, found),
    )
    why = _why_not(queue, entry, cric, configured=site is not None)
    return queue.model_copy(update={"served": not why, "why": why})


def _limits(entry: _Entry, said: PandaSite, ces: Sequence[CeEndpoint]) -> dict[str, Any]:
    """What a job of the queue may ask for, and how fast its cores are."""
    cores = said.corecount or entry.corecount or 0
    minutes = [one.maxwalltime for one in ces if one.maxwalltime]
    longest = said.maxwalltime or _walltime(entry.maxtime, max(minutes, default=0))
    return {
        "cores": max(cores, 1),
        "corecount": cores if cores > 0 else None,
        "corepower": entry.corepower,
        "maxrss": entry.maxrss if entry.maxrss and entry.maxrss > 0 else None,
        "per_core": "per_core_attr" in entry.catchall,
        "maxwalltime": longest or LONGEST_WALLTIME,
        "unlimited": not longest,
    }


def _first(said: T | None, otherwise: T) -> T:
    return otherwise if said is None else said


def _type(word: str | None) -> QueueType:
    if word in ("special", None):
        return "production"
    if word in ("production", "analysis", "unified"):
        return word  # type: ignore[return-value] # mypy does not narrow by `in`
    raise ValueError(f"type: {str(word)[:40]!r} is not production, analysis, unified or special")


def _truepilot(entry: _Entry) -> bool:
    """Unless the CE moves the data (copytool mv), the pilot does everything itself."""
    return entry.copytools != ("mv",) and "mv" not in entry.acopytools.pr


def _walltime(maxtime_s: int | None, ce_minutes: int) -> int | None:
    minutes = maxtime_s // 60 if maxtime_s and maxtime_s > 0 else ce_minutes
    return min(minutes, LONGEST_WALLTIME) if minutes > 0 else None


def _why_not(queue: Queue, entry: _Entry, cric: Cric, *, configured: bool) -> str:
    """Why the tower takes no jobs of it; empty: it does. The first reason counts."""
    managed = cric.pilotmanager in ("all", entry.pilot_manager)
    kinds = {endpoint.kind for endpoint in queue.endpoints}
    named = ", ".join(sorted(kinds))
    reasons = (
        (not configured and not managed, f"pilot_manager is {entry.pilot_manager!r}, not {cric.pilotmanager!r}"),
        (
            not configured and cric.pilotversion not in (None, entry.pilot_version),
            f"pilot_version is {entry.pilot_version!r}, not {cric.pilotversion!r}",
        ),
        (not configured and entry.state != "ACTIVE", f"state is {entry.state!r}"),
        (not configured and entry.is_virtual, "virtual"),
        (queue.maxjobs == 0, "maxjobs is 0"),
        (queue.status not in STATUSES, f"status {queue.status[:40]!r} is not known"),
        (not queue.push, "a pull queue"),
        (not queue.endpoints, "no active CE"),
        (not queue.truepilot and not kinds & SERVED_KINDS, f"a native queue needs an ARC CE, not {named}"),
        (not kinds & PILOT_KINDS, f"true pilots run at ARC CEs and HTCondor-CEs, not at {named}"),
    )
    return next((why for holds, why in reasons if holds), "")
