"""What a ticket is made of, read from the tables in one transaction."""

import socket
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from act_core.db import explaining, queries
from act_core.db.models import Ce
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.monitor.explain_read import read_ce, read_job
from act_core.monitor.redact import Hidden
from act_core.monitor.ticket import ERRORS, Facts, JobLine, Neighbour
from act_core.settings.model import Settings
from act_core.states import CeState

WINDOW = timedelta(days=3)
MOST_ENDED, MOST_NEIGHBOURS = 1000, 12
_SHORTEST_ARGUMENT = 6


def read_ticket(
    session: Session, settings: Settings, subject: str, back_ends: Collection[str], now: datetime
) -> tuple[Facts, Hidden] | None:
    """The CE of this name, or of the job with this id; None: there is neither. Raises BadInput for a job at no CE."""
    if queries.ce_row(session, subject) is not None:
        return _of_ce(session, settings, subject, None, [], back_ends, now)
    case = read_job(session, settings, subject, back_ends, now)
    if case is None:
        return None
    job = case.job
    if not (job.ce and job.remote_id):
        raise BadInput(f"job {job.app_job_id} is at no CE: `act explain {job.app_job_id}` tells why")
    words = "; ".join(filter(None, (job.native_state, job.error)))
    own = queries.specs(session, [job.description_id])
    hidden = _hidden(settings, job.ce, "", own.values())
    state = _missing(CeState(job.state)) if job.absent_since else job.state
    line = JobLine(job.remote_id, state, job.absent_since or job.state_since, hidden.taken_from(words))
    return _of_ce(session, settings, job.ce, line, list(own), back_ends, now)


def _of_ce(
    session: Session, settings: Settings, name: str, job: JobLine | None, own: list[int],
    back_ends: Collection[str], now: datetime,
) -> tuple[Facts, Hidden]:  # fmt: skip
    look = read_ce(session, settings, name, back_ends, now)
    row, since = look.row, now - WINDOW
    assert row is not None
    ended = explaining.ended_badly(session, name, since, MOST_ENDED)
    good = explaining.ended_well(session, name, since)
    near = explaining.ce_rows(session, explaining.neighbours(session, name, MOST_NEIGHBOURS))
    days = explaining.days(session, name, f"{since:%Y-%m-%d}")
    capacity = row.capacity or {}
    facts = Facts(
        ce=name,
        endpoint=row.endpoint,
        kind=row.kind,
        health=f"{len(look.missing)} of them not known there any more" if look.missing else health(row, now),
        trouble=row.trouble if row.failures and not row.own_trouble else None,
        own_trouble=row.trouble or "" if row.failures and row.own_trouble else "",
        job=job,
        ended=tuple(ended),
        limit=MOST_ENDED,
        well=sum(n for _, state, n in days if state is CeState.DONE)
        + sum(n for _, state, n in look.jobs if state in (CeState.DONE, CeState.FINISHED)),
        window=f"{WINDOW.days} days",
        last_good_end=good.at if good else None,
        last_answer=row.last_seen,
        neighbours=tuple(Neighbour(one, health(near[one], now)) for one in sorted(near)),
        identity=look.credential.subject if look.credential else "",
        until=look.credential.expires if look.credential else None,
        ours=f"act-flows {_version()}",
        theirs=str(capacity.get("version") or ""),
        missing=tuple(JobLine(one.remote_id, _missing(one.state), one.since) for one in look.missing if one.remote_id),
    )
    shown = dict.fromkeys([*own, *(one.description_id for one in ended[: 20 * ERRORS])])
    return facts, _hidden(settings, name, row.endpoint, queries.specs(session, list(shown)).values())


def _missing(state: CeState) -> str:
    return f"not in your answers, {state.value} before"


def health(row: Ce, now: datetime) -> str:
    """How a CE is, for people who do not know this tower."""
    if row.mode != "on":
        return f"not used ({row.mode})"
    if row.failures and row.own_trouble:
        return "not asked, for a trouble on our side"
    if row.failures:
        rests = f", asked again {row.retry_at:%H:%M}Z" if row.retry_at and row.retry_at > now else ""
        return f"troubled: {row.failures} errors in a row{rests}"
    return "answers well" if row.last_seen else "not asked yet"


def _hidden(settings: Settings, ce: str, endpoint: str, specs: Iterable[JobSpec]) -> Hidden:
    arc = settings.arc
    places = {socket.gethostname(), arc.db.host, arc.prefect.host, str(Path.home())}
    places |= {
        str(path)
        for path in (settings.state_dir, settings.results_dir, arc.voms.proxypath, arc.db.file, arc.secrets.keyfile)
        if path
    }
    words: set[str] = set()
    for spec in specs:
        words |= {*spec.arguments, *spec.environment.values()}
        words |= {part for argument in spec.arguments for part in argument.split()}
    arguments = {word for word in words if len(word) >= _SHORTEST_ARGUMENT}
    return Hidden(places - {ce, "localhost", ""}, arguments, urlsplit(endpoint).hostname or "")


def _version() -> str:
    try:
        return version("act-flows")
    except PackageNotFoundError:
        return "(not installed)"
