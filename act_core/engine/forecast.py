"""Which jobs outlive which credential: told before it happens."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from act_core.credentials.places import proxy_of, token_of
from act_core.db import credentials
from act_core.db.credentials import TOKEN
from act_core.db.ledger import Line
from act_core.db.outlook import Outlook, outlooks, told_of, with_living_jobs
from act_core.db.policy_models import CredentialRow
from act_core.errors import ConfigError
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.states import CeState

OTHER = "its CE is shown another identity now"
TRANSFERS = timedelta(hours=1)  # what a CE may need for outputs after the payload's end


class Ends(StrEnum):
    """What it is that ends before the job."""

    COPY = "worker-node proxy"  # made at submission, and no renewal reaches it
    DELEGATION = "delegation"  # what the CE brings outputs away with
    TOKEN = "token"  # noqa: S105 - a word for people


@dataclass(frozen=True, slots=True)
class Shown:
    """What keeps an identity that jobs were submitted with."""

    path: str
    subject: str
    kind: str
    expires: datetime
    renewer: str  # empty: the tower does not renew it
    trouble: str | None

    @property
    def lasting(self) -> bool:
        """It is renewed, and renewal works."""
        return bool(self.renewer) and self.trouble is None


@dataclass(frozen=True, slots=True)
class Ending:
    """Jobs of a CE that outlive one thing; `until`: the first end of it. `job`: the one that it strikes first."""

    ce: str
    ends: Ends
    until: datetime
    jobs: int
    job: int
    subject: str
    path: str
    renewer: str
    trouble: str | None


def expected_end(job: Outlook, now: datetime, queuetime: timedelta) -> datetime:
    """At the latest, if it keeps to its limits; without a wall time: not before now."""
    wall = job.walltime or timedelta(0)
    if job.state in (CeState.SUBMITTED, CeState.HOLDING):
        return max(now, job.since + queuetime) + wall
    if job.state is CeState.RUNNING:
        return max(now, (job.started or job.since) + wall)
    return now


def endings(
    ce: str, jobs: Iterable[Outlook], shown: Mapping[int, Shown], now: datetime, queuetime: timedelta
) -> list[Ending]:
    """What ends before the jobs that need it, the first end first."""
    struck: dict[tuple[Ends, int | None], list[tuple[datetime, int]]] = {}
    for job in jobs:
        end = expected_end(job, now, queuetime)
        if job.state is CeState.CANCELLING:  # its outputs are nobody's wish any more
            continue
        if job.proxy_until and job.proxy_until < end and job.state is not CeState.FINISHING:  # its payload is over
            struck.setdefault((Ends.COPY, job.credential_id), []).append((job.proxy_until, job.id))
        held = shown.get(job.credential_id or 0)
        if held and not held.lasting and held.expires < end + TRANSFERS:
            kind = Ends.TOKEN if held.kind == TOKEN else Ends.DELEGATION
            struck.setdefault((kind, job.credential_id), []).append((held.expires, job.id))
    found = [_ending(ce, ends, shown.get(by or 0), hits) for (ends, by), hits in struck.items()]
    return sorted(found, key=lambda one: (one.until, one.ends, one.job))


def _ending(ce: str, ends: Ends, held: Shown | None, hits: Sequence[tuple[datetime, int]]) -> Ending:
    until, job = min(hits)
    known = (held.subject, held.path, held.renewer, held.trouble) if held else ("", "", "", None)
    return Ending(ce, ends, until, len(hits), job, *known)


def by_identity(rows: Collection[CredentialRow], path: str | None) -> dict[int, Shown]:
    """What keeps each identity at a CE that is shown the file `path`, under every id that jobs may carry for it.

    Of an identity that the CE is no longer shown nothing is renewed there: its newest file tells when it ends.
    """
    newest: dict[str, CredentialRow] = {}
    for row in sorted(rows, key=lambda row: row.expires):
        newest[row.subject] = row
    current = next((row for row in rows if row.path == path), None)
    kept = {subject: _shown(row, OTHER) for subject, row in newest.items()}
    if current is not None:
        kept[current.subject] = _shown(current, current.trouble)
    return {row.id: kept[row.subject] for row in rows if row.subject}


def _shown(row: CredentialRow, trouble: str | None) -> Shown:
    return Shown(row.path.partition("#")[0], row.subject, row.kind, row.expires, row.renewer, trouble)


async def _file(rt: Runtime, ce: str) -> str | None:
    """What the CE is shown; None: nothing, or nobody can say."""
    site = await rt.site(ce)
    try:
        found = proxy_of(rt.settings, ce, site) or token_of(rt.settings, ce, site)
    except ConfigError:
        return None
    return str(found) if found else None


async def forecast(rt: Runtime) -> list[Ending]:
    """Of all CEs with living jobs."""
    rows, found, now = await rt.read(credentials.known), list[Ending](), rt.now()
    for ce in await rt.read(with_living_jobs):
        shown = by_identity(rows, await _file(rt, ce))
        jobs = await rt.read(outlooks, ce)
        found += endings(ce, jobs, shown, now, rt.settings.arc.jobs.queuetime)
    return sorted(found, key=lambda one: (one.until, one.ce))


def line(ce: str, found: Sequence[Ending]) -> Line:
    """What the ledger says of a CE: the first end, or that nothing ends any more."""
    if not found:
        return Line(Topic.CREDENTIAL, None, ce=ce)
    first = found[0]
    reason = Reason.COPY_ENDS if first.ends is Ends.COPY else Reason.CREDENTIAL_ENDS
    facts = {
        "ce": ce,
        "ends": first.ends.value,
        "until": f"{first.until:%Y-%m-%d %H:%M} UTC",
        "n": first.jobs,
        "subject": first.subject or "somebody",
        "path": first.path or "its file",
        "trouble": first.trouble or "the tower does not renew it",
    }
    return Line(Topic.CREDENTIAL, reason, ce=ce, n=first.jobs, facts=facts)


async def worth_a_look(rt: Runtime) -> Sequence[str]:
    return ["forecast"] if await rt.read(with_living_jobs) or await rt.read(told_of) else []


async def look_ahead(rt: Runtime, _key: str) -> Counts:
    """Tell in the ledger, a line a CE, what ends before the jobs that need it."""
    by_ce: dict[str, list[Ending]] = {ce: [] for ce in await rt.read(told_of)}
    for one in await forecast(rt):
        by_ce.setdefault(one.ce, []).append(one)
    await rt.note([line(ce, found) for ce, found in by_ce.items()])
    return Counts({"jobs that outlive a credential": sum(one.jobs for found in by_ce.values() for one in found)})
