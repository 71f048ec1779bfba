"""What the engine's tables say, as numbers for Prometheus."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from act_core.db import bootstrap, brakes, counting, credentials, measuring
from act_core.db.modes import CARED_FOR
from act_core.engine.credentials import named
from act_core.monitor.gauges import Family, Gauges, summed
from act_core.settings.model import Settings
from act_core.states import FINAL, LIVING, CeState

CE = ("ce",)
FAMILIES: Mapping[str, Family] = {
    "arc_queued_jobs": Family("attempts that the CE has and that do not run yet", ("ce_endpoint",)),
    "arc_running_jobs": Family("attempts that run", ("ce_endpoint",)),
    "arc_finishing_jobs": Family("attempts whose payload is over and whose outputs the CE moves", ("ce_endpoint",)),
    "act_tower_info": Family("1; the id of the tower", ("tower",)),
    "act_counts_age_seconds": Family("how old all counts of jobs are; they are renewed every 10 s"),
    "act_jobs": Family("newest attempts of jobs", ("app", "ce", "share", "state")),
    "act_running_cores": Family("cores of attempts that run", CE),
    "act_oldest_seconds": Family(
        "how long the oldest attempt is in its state; final ones are left out", ("ce", "state")
    ),
    "act_ce_mode": Family("1; the mode that holds", ("ce", "mode")),
    "act_ce_maxjobs": Family("jobs that the CE may have", CE),
    "act_ce_breaker_open": Family("1: the CE rests after errors", CE),
    "act_ce_failures": Family("errors in a row", CE),
    "act_ce_unseen_seconds": Family("since the CE last answered", CE),
    "act_ce_poll_late_seconds": Family("a CE with living jobs should have been asked about them so long ago", CE),
    "act_brakes_on": Family("mass actions that are stopped"),
    "act_brake_jobs": Family("jobs that a brake holds", ("scope", "kind")),
    "act_reasons": Family("CEs and shares for which a reason of the decision ledger holds", ("topic", "code")),
    "act_credential_seconds_left": Family("until a credential of the configuration ends", ("credential", "kind")),
    "act_credential_trouble": Family("1: it cannot be read or renewed", ("credential", "kind")),
    "act_stage_quiet_seconds": Family("since a stage, told with its verb, last had work; 0: it has some", ("stage",)),
}
_ORIGINAL = {
    CeState.SUBMITTED.value: "arc_queued_jobs",
    CeState.RUNNING.value: "arc_running_jobs",
    CeState.FINISHING.value: "arc_finishing_jobs",
}
_LIVING = {state.value for state in LIVING}
_FINAL = {state.value for state in FINAL}


def engine_families(session: Session, settings: Settings, now: datetime) -> Gauges:
    """Seven statements, of which each reads a table whose size does not depend on the number of jobs."""
    found = Gauges(FAMILIES)
    found.set("act_tower_info", 1, bootstrap.tower_id(session))
    counted = counting.counted_at(session)
    if counted is not None:
        found.set("act_counts_age_seconds", _since(counted, now))
    counts, ces = measuring.job_counts(session), measuring.ces(session)
    _jobs(found, counts, now)
    _originals(found, counts, {row[0]: row[1] or row[0] for row in ces})
    _ces(found, ces, {ce for _, ce, _, state, *_ in counts if state in _LIVING}, now)
    _brakes(found, session)
    for (topic, code), n in measuring.reasons(session).items():
        found.set("act_reasons", n, topic, code)
    _credentials(found, session, settings, now)
    _leases(found, session, now)
    return found


def _since(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())


def _jobs(found: Gauges, counts: Iterable[Any], now: datetime) -> None:
    cores: dict[str, int] = {}
    oldest: dict[tuple[str, str], datetime] = {}
    for app, ce, share, state, n, held, since in counts:
        found.set("act_jobs", n, app, ce, share, state)
        if state == CeState.RUNNING.value:
            cores[ce] = cores.get(ce, 0) + held
        if state not in _FINAL:
            oldest[ce, state] = min(since, oldest.get((ce, state), since))
    for ce, held in cores.items():
        found.set("act_running_cores", held, ce)
    for (ce, state), since in oldest.items():
        found.set("act_oldest_seconds", _since(since, now), ce, state)


def _originals(found: Gauges, counts: Iterable[Any], endpoints: Mapping[str, str]) -> None:
    """The original's three, of every CE that is known; two names of one endpoint are one there."""
    zeros = [((name, where), 0) for where in endpoints.values() for name in _ORIGINAL.values()]
    held = [
        ((_ORIGINAL[state], endpoints.get(ce, ce)), n) for _, ce, _, state, n, *_ in counts if state in _ORIGINAL and ce
    ]
    for (name, where), n in summed([*zeros, *held]).items():
        found.set(name, n, where)


def _ces(found: Gauges, ces: Sequence[Any], living: set[str], now: datetime) -> None:
    for name, _, mode, maxjobs, failures, retry_at, last_seen, next_poll_at in ces:
        rests = retry_at is not None and retry_at > now
        found.set("act_ce_mode", 1, name, mode)
        found.set("act_ce_maxjobs", maxjobs, name)
        found.set("act_ce_breaker_open", rests, name)
        found.set("act_ce_failures", failures, name)
        if last_seen is not None:
            found.set("act_ce_unseen_seconds", _since(last_seen, now), name)
        expected = name in living and mode in CARED_FOR and not rests and next_poll_at is not None
        late = _since(max(next_poll_at, retry_at or next_poll_at), now) if expected else 0
        found.set("act_ce_poll_late_seconds", late, name)


def _brakes(found: Gauges, session: Session) -> None:
    on = brakes.on(session)
    found.set("act_brakes_on", len(on))
    for (scope, kind), n in summed(((row.scope, row.kind), row.n) for row in on).items():
        found.set("act_brake_jobs", n, scope, kind)


def _credentials(found: Gauges, session: Session, settings: Settings, now: datetime) -> None:
    """Those of the configuration: rows of former ones stay for the jobs that they submitted."""
    rows = {row.path: row for row in credentials.known(session)}
    names = {path: name for name, path in named(settings)}
    often = Counter(names.values())
    for path, name in names.items():
        row = rows.get(str(path))
        if row is None:
            continue  # not looked at yet
        shown = name if often[name] == 1 else str(path)
        left = (row.expires - now).total_seconds() if row.subject else 0.0  # nobody's: it was never readable
        found.set("act_credential_seconds_left", left, shown, row.kind)
        found.set("act_credential_trouble", row.trouble is not None, shown, row.kind)


def _leases(found: Gauges, session: Session, now: datetime) -> None:
    for stage, until in measuring.last_work(session).items():
        found.set("act_stage_quiet_seconds", _since(until, now), stage)
