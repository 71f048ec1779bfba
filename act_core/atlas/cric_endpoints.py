"""The CEs of a PanDA queue: their addresses as back ends take them, and readable names that stay the same."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from act_core.atlas.lenient import Text, present, whole
from act_core.settings.model import Site

KINDS: Mapping[str, str] = {"ARC-CE": "arc-rest", "HTCONDOR-CE": "htcondor", "LOCAL-CE": "local"}
_FLAVOURS = {kind: flavour for flavour, kind in KINDS.items()}
LONGEST_ADDRESS = 512  # characters of the column
_DEFAULT = "default"  # a CE's queue of this name counts only when there is no other


class CeEndpoint(BaseModel):
    """A CE as one queue uses it. Walltime in minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # of the CE in the tower: a site of aCTConfigARC.yaml, or host and batch queue
    endpoint: str
    kind: str
    flavour: str
    queue: str | None = None  # batch queue; None: the CE's own choice
    jobmanager: str | None = None
    maxwalltime: int | None = None


class _Ce(BaseModel):
    """One element of `queues`."""

    ce_name: Text = None
    ce_endpoint: Text = None
    ce_flavour: Text = None
    ce_state: Text = None
    ce_jobmanager: Text = None
    ce_queue_name: Text = None
    ce_queue_maxwctime: Annotated[int | None, BeforeValidator(whole)] = None


def cric_endpoints(
    ces: Sequence[object], sites: Mapping[str, Site], queue: str, problems: list[str]
) -> tuple[CeEndpoint, ...]:
    """The active CEs of an entry; one that cannot be read goes to `problems`, the others live."""
    found: dict[str, CeEndpoint] = {}
    for ce in ces:
        try:
            endpoint = _endpoint(_Ce.model_validate(ce), sites)
        except ValidationError as err:
            problems.append(f"queue {queue!r}: a CE: {err.errors(include_url=False)[0]['msg']}")
        except ValueError as err:
            problems.append(f"queue {queue!r}: {err}")
        else:
            if endpoint is not None:
                found.setdefault(endpoint.name, endpoint)
    named = tuple(one for one in found.values() if one.queue != _DEFAULT)
    rest = named or tuple(found.values())
    return tuple(one.model_copy(update={"queue": None}) if one.queue == _DEFAULT else one for one in rest)


def configured_endpoints(
    wanted: Sequence[str], sites: Mapping[str, Site], queue: str, problems: list[str]
) -> tuple[CeEndpoint, ...]:
    """The CEs that the configuration gives to a queue: names of sites, or addresses."""
    return tuple(one for word in wanted for one in _configured(word, sites, queue, problems))


def _configured(word: str, sites: Mapping[str, Site], queue: str, problems: list[str]) -> Iterator[CeEndpoint]:
    if word in sites:
        yield _of_site(word, sites[word], None)
        return
    try:
        address = _address(word, KINDS["ARC-CE"])
    except ValueError as err:
        problems.append(f"queue {queue!r}: {err}, nor a site of aCTConfigARC.yaml")
        return
    site = _site_at(address, sites)
    yield _of_site(site, sites[site], None) if site else _named(address, KINDS["ARC-CE"], None, None, None)


def _endpoint(ce: _Ce, sites: Mapping[str, Site]) -> CeEndpoint | None:
    """None: not active. Raises ValueError."""
    if ce.ce_state != "ACTIVE":
        return None
    kind = KINDS.get(ce.ce_flavour or "")
    if kind is None:
        raise ValueError(f"CE {(ce.ce_name or '')[:80]!r}: flavour {str(ce.ce_flavour)[:40]!r} is not known")
    name = ce.ce_name or ""
    if kind == "local" and name in sites and sites[name].kind == kind:
        return _of_site(name, sites[name], ce.ce_queue_name)
    address = _address(ce.ce_endpoint or "", kind)
    site = _site_at(address, sites)
    if site:
        return _of_site(site, sites[site], ce.ce_queue_name, ce.ce_jobmanager, ce.ce_queue_maxwctime)
    return _named(address, kind, ce.ce_queue_name, ce.ce_jobmanager, ce.ce_queue_maxwctime)


def _of_site(
    name: str, site: Site, queue: str | None, jobmanager: str | None = None, minutes: int | None = None
) -> CeEndpoint:
    own = present(site.options.get("queue"))
    return CeEndpoint(
        name=name,
        endpoint=site.endpoint,
        kind=site.kind,
        flavour=_FLAVOURS.get(site.kind, site.kind),
        queue=str(own) if own else queue,
        jobmanager=jobmanager,
        maxwalltime=minutes,
    )


def _named(address: str, kind: str, queue: str | None, jobmanager: str | None, minutes: int | None) -> CeEndpoint:
    netloc = urlsplit(address).netloc or address
    host = netloc.removesuffix(":443")
    name = f"{host}/{queue}" if queue and queue != _DEFAULT else host
    if not name.isprintable() or len(name) > 128 or " " in name:
        raise ValueError(f"CE {name[:80]!r}: no name")
    return CeEndpoint(
        name=name,
        endpoint=address,
        kind=kind,
        flavour=_FLAVOURS[kind],
        queue=queue,
        jobmanager=jobmanager,
        maxwalltime=minutes,
    )


def _address(endpoint: str, kind: str) -> str:
    """Raises ValueError."""
    address = _as_back_ends_take_it(endpoint, kind)
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"{endpoint[:80]!r} has {len(address)} characters, more than {LONGEST_ADDRESS}")
    return address


@lru_cache(maxsize=8192)
def _as_back_ends_take_it(endpoint: str, kind: str) -> str:
    """`https://host:port/path` for ARC REST out of that, of the older `gsiftp://host:2811/jobs` or of `host[:port]`;
    `host:port` for HTCondor. Raises ValueError.
    """
    url = urlsplit(endpoint if "://" in endpoint else f"none://{endpoint}")
    host, port = url.hostname, url.port  # a bad port raises ValueError
    if not host or not host.isascii() or not host.replace(".", "").replace("-", "").isalnum():
        raise ValueError(f"{endpoint[:80]!r} is no address of a CE")
    if kind == "htcondor":
        return f"{host}:{port or 9619}"
    if kind == "local":
        return endpoint
    if url.scheme == "https":
        return f"https://{host}:{port or 443}{url.path.rstrip('/') or '/arex'}"
    return f"https://{host}:{port if port and url.scheme == 'none' else 443}/arex"


def _site_at(address: str, sites: Mapping[str, Site]) -> str | None:
    """The configured site with this very address."""
    for name, site in sites.items():
        try:
            if site.endpoint and _address(site.endpoint, site.kind) == address:
                return name
        except ValueError:
            continue
    return None
