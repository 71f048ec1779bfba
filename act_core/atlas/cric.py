"""CRIC's pandaqueue feed, parsed entry by entry: what the tower uses of a queue, and whether it serves it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from act_core.atlas.cric_endpoints import CeEndpoint, configured_endpoints, cric_endpoints
from act_core.atlas.cric_entry import Entry
from act_core.atlas.serving import HANDED, MANAGER, STATUSES
from act_core.errors import BadInput
from act_core.foreign import read_json
from act_core.settings.app_model import Cric, PandaSite
from act_core.settings.model import Site

LARGEST_ENTRY = 1024 * 1024  # characters; one has about 40,000
LONGEST_WALLTIME = 7 * 24 * 60  # minutes, where CRIC says nothing or more
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
    handed: bool = False  # a Harvester takes its jobs, and hands them to the tower
    sites: tuple[str, ...] = ()  # what its site is called
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


def parse_queues(
    feed: str | bytes | Mapping[str, object],
    cric: Cric,
    panda_sites: Mapping[str, PandaSite],
    arc_sites: Mapping[str, Site],
) -> Parsed:
    """Every readable queue of the feed, and those that only the configuration names; bad entries are told and skipped.

    Raises BadInput when the feed as a whole is no JSON object.
    """
    queues: dict[str, Queue] = {}
    stored: dict[str, Mapping[str, Any]] = {}
    raw: dict[str, str] = {}
    problems: list[str] = []
    said = feed if isinstance(feed, Mapping) else _entries(feed)
    entries: dict[str, object] = {name: {} for name in panda_sites} | dict(said)
    for name, entry in entries.items():
        try:
            raw[name] = _bounded(json.dumps(entry))
            queue = _queue(name, entry, cric, panda_sites.get(name), arc_sites, problems)
            stored[name] = queue.model_dump(mode="json")
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


def _entries(feed: str | bytes) -> Mapping[str, object]:
    try:
        entries = read_json(feed)
    except ValueError as err:
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
    if not isinstance(raw, Mapping):
        raise ValueError(f"no object but {type(raw).__name__}")  # noqa: TRY004 - of the feed, not of a caller
    entry = Entry.model_validate(raw)
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
        sites=entry.sites,
        endpoints=endpoints,
        **_limits(entry, said, found),
    )
    return queue.model_copy(update=_standing(queue, entry, cric, configured=site is not None))


def _standing(queue: Queue, entry: Entry, cric: Cric, *, configured: bool) -> dict[str, Any]:
    """Whether jobs of it are taken from PanDA, or come from a Harvester, and why not."""
    unfit = _unfit(queue, entry, configured=configured)
    if entry.harvester is not None and entry.harvester in cric.handedby:
        why = unfit or f"Harvester {_short(entry.harvester)} {HANDED}"
        return {"served": False, "handed": not unfit, "why": why}
    why = (not configured and _not_ours(entry, cric)) or unfit
    return {"served": not why, "why": why}


def _limits(entry: Entry, said: PandaSite, ces: Sequence[CeEndpoint]) -> dict[str, Any]:
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


def _truepilot(entry: Entry) -> bool:
    """Unless the CE moves the data (copytool mv), the pilot does everything itself."""
    return entry.copytools != ("mv",) and "mv" not in entry.acopytools.pr


def _walltime(maxtime_s: int | None, ce_minutes: int) -> int | None:
    minutes = maxtime_s // 60 if maxtime_s and maxtime_s > 0 else ce_minutes
    return min(minutes, LONGEST_WALLTIME) if minutes > 0 else None


def _not_ours(entry: Entry, cric: Cric) -> str:
    """Why CRIC does not give the queue to this tower; empty: it does."""
    if cric.pilotmanager not in ("all", entry.pilot_manager):
        return f"{MANAGER} {_short(entry.pilot_manager)}, not {cric.pilotmanager!r}"
    if entry.harvester not in (None, cric.harvester):
        ours = f"and this tower is {cric.harvester!r}" if cric.harvester else "and this tower has no name"
        return f"harvester is {_short(entry.harvester)}, {ours} (cric.harvester)"
    if cric.pilotversion not in (None, entry.pilot_version):
        return f"pilot_version is {_short(entry.pilot_version)}, not {cric.pilotversion!r}"
    return ""


def _unfit(queue: Queue, entry: Entry, *, configured: bool) -> str:
    """Why no tower could run its jobs; empty: it can. The first reason counts."""
    kinds = {endpoint.kind for endpoint in queue.endpoints}
    named = ", ".join(sorted(kinds))
    reasons = (
        (not configured and entry.state != "ACTIVE", f"state is {_short(entry.state)}"),
        (not configured and entry.is_virtual, "virtual"),
        (queue.maxjobs == 0, "maxjobs is 0"),
        (queue.status not in STATUSES, f"status {_short(queue.status)} is not known"),
        (not queue.push, "a pull queue"),
        (not queue.endpoints, "no active CE"),
        (not queue.truepilot and not kinds & SERVED_KINDS, f"a native queue needs an ARC CE, not {named}"),
        (not kinds & PILOT_KINDS, f"true pilots run at ARC CEs and HTCondor-CEs, not at {named}"),
    )
    return next((why for holds, why in reasons if holds), "")


def _short(word: str | None) -> str:
    return repr(word if word is None else word[:40])
