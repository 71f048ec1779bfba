"""CRIC's feed of downtimes, parsed entry by entry: who is down, from when until when, and which CEs that means.

The feed is known as `{resource centre: {id: {start_time, end_time, severity, affected_services, …}}}` (times in UTC).
Lists in place of the objects, entries at the top, and other names of the same keys are read, too; what cannot be read
is named and skipped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, ValidationError

from act_core.atlas.lenient import Text, present
from act_core.db.downtimes import REASON_LENGTH, Downtime
from act_core.errors import ProtocolError
from act_core.foreign import read_json
from act_core.words import clean

OUTAGES = frozenset({"outage", "down"})  # nothing is sent; of what is only at risk jobs are sent all the same
RISKS = frozenset({"warning", "at_risk", "at risk", "degraded", "moderate", "intermittent", "no downtime"})
_STARTS = ("start_time", "start", "start_date", "starttime", "startTime")
_ENDS = ("end_time", "end", "end_date", "endtime", "endTime")
_SITES = ("site", "rcsite", "rc_site", "rc", "sitename")
_PLACES: tuple[str, ...] = ("endpoint", "service_endpoint", "ce_endpoint", "hostname", "host")
_PLACES += ("affected_services", "services", "endpoints")
_HOST = re.compile(r"(?=.{4,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+")
_SERVICE = re.compile(r"(org|com|net|edu|gov|eu|ch)\.")  # kinds of services are called like hosts turned round
_CE_SERVICE = re.compile(r"(^|[^a-z])(ce|arex|condor|batch|compute)([^a-z]|$)", re.IGNORECASE)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
DEEPEST = 4  # levels of lists and objects inside an entry's services


@dataclass(frozen=True, slots=True)
class Announced:
    """One downtime. `hosts`: of what is down; none: the site as a whole."""

    site: str
    start: datetime
    end: datetime
    hosts: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Downtimes:
    """`problems` name the entry that cannot be read."""

    announced: tuple[Announced, ...]
    problems: tuple[str, ...]


def _moment(value: object) -> datetime:
    """UTC where no zone is named; a number is seconds of the epoch. Raises ValueError."""
    value = present(value)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        else:
            found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{str(value)[:40]!r} is no time") from None
    if not _EARLIEST <= found <= _LATEST:
        raise ValueError(f"{str(value)[:40]!r} is no time of ours")
    return found


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Entry(BaseModel):
    """The keys that are read, in any of their spellings."""

    start: Moment = Field(validation_alias=AliasChoices(*_STARTS))
    end: Moment = Field(validation_alias=AliasChoices(*_ENDS))
    severity: Text = None
    site: Text = Field(default=None, validation_alias=AliasChoices(*_SITES))
    description: Text = None
    classification: Text = None


def feed_of(text: str) -> object:
    """The feed as JSON has it; none at all (`{}`, `[]`) is good. Raises ProtocolError."""
    try:
        feed: object = read_json(text)
    except ValueError as err:
        raise ProtocolError(f"CRIC's downtimes are not JSON: {text[:60]!r}") from err
    if not isinstance(feed, dict | list):
        raise ProtocolError(f"CRIC's downtimes are neither object nor list: {text[:60]!r}")
    return feed


def parse_downtimes(feed: object, now: datetime) -> Downtimes:
    """Outages of CEs and of whole sites that are not over."""
    found: list[Announced] = []
    problems: list[str] = []
    for name, site, raw in _entries(feed):
        try:
            one = _announced(site, raw)
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            words = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
            problems.append(f"downtime {name[:80]!r}: {words}")
        except ValueError as err:
            problems.append(f"downtime {name[:80]!r}: {err}")
        else:
            if one is not None and one.end > now:
                found.append(one)
    return Downtimes(tuple(found), tuple(problems))


def _entries(feed: object) -> Iterator[tuple[str, str, object]]:
    """(its name, its site as the object around it says, the entry)."""
    for key, value in _items(feed):
        if _is_entry(value) or not isinstance(value, dict | list):
            yield key, "", value
            continue
        for inner, entry in _items(value):
            yield f"{key} {inner}", key if isinstance(feed, dict) else "", entry


def _items(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(str(key), one) for key, one in value.items()]
    return [(str(number), one) for number, one in enumerate(value)] if isinstance(value, list) else []


def _is_entry(value: object) -> bool:
    return isinstance(value, dict) and any(key in value for key in (*_STARTS, *_ENDS, "severity"))


def _announced(site: str, raw: object) -> Announced | None:
    """None: no outage, or not of CEs. Raises ValueError, ValidationError."""
    entry = _Entry.model_validate(raw)
    assert isinstance(raw, Mapping)  # the model takes nothing else
    severity = (entry.severity or "").lower()
    if severity in RISKS:
        return None
    if severity not in OUTAGES:
        raise ValueError(f"severity {severity[:40]!r} is not known")
    if entry.end <= entry.start:
        raise ValueError("it ends before it begins")
    words = list(_words([raw[key] for key in _PLACES if key in raw]))
    hosts = frozenset(host for word in words if (host := host_of(word)))
    if words and not hosts and not any(_CE_SERVICE.search(word) for word in words):
        return None  # storage, or another service that is no CE
    name = entry.site or site
    if not name and not hosts:
        raise ValueError("it names neither a site nor an endpoint")
    reason = clean(" ".join(filter(None, (name, entry.classification, entry.description))))[:REASON_LENGTH]
    return Announced(name, entry.start, entry.end, hosts, reason)


def _words(value: object, depth: int = 0) -> Iterator[str]:
    """All texts of what an entry says of its services."""
    if isinstance(value, str):
        yield from (word.strip() for word in value.split(",") if present(word) is not None)
    elif depth < DEEPEST:
        for _key, one in _items(value):
            yield from _words(one, depth + 1)


def host_of(text: str) -> str | None:
    """The host of an address, `host:port` or `host`; None: it is none."""
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname
    except ValueError:
        return None
    return host if host and _HOST.fullmatch(host) and not _SERVICE.match(host) else None


def matched(
    announced: Iterable[Announced], ces: Mapping[str, str], sites: Mapping[str, Sequence[str]]
) -> list[Downtime]:
    """What it means for our CEs. `ces`: name → endpoint; `sites`: name of a site → its CEs.

    Of two downtimes of a CE that begin together the longer one counts.
    """
    at_host: dict[str, list[str]] = {}
    for name, endpoint in ces.items():
        if host := host_of(endpoint):
            at_host.setdefault(host, []).append(name)
    found: dict[tuple[str, datetime], Downtime] = {}
    for one in announced:
        named = [ce for host in one.hosts for ce in at_host.get(host, ())] if one.hosts else sites.get(one.site, ())
        for ce in sorted(set(named) & set(ces)):
            longest = max(one.end, found[ce, one.start].end) if (ce, one.start) in found else one.end
            found[ce, one.start] = Downtime(ce, one.start, longest, reason=one.reason)
    return list(found.values())
