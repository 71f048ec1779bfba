"""How many jobs of each campaign stand where: counted with the attempts, and told by reports and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.core import Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.counting import Key, rewrite
from act_core.monitor.gauges import Family, Gauges
from act_core.settings.model import Settings
from act_core.simple.tables import OVER, Count, Job, JobState
from act_core.tables import Cell, Table, natural, summed

MOST = 1000  # campaigns that are told by name
FAMILIES: Mapping[str, Family] = {
    "act_simple_jobs": Family("jobs of campaigns that are at work, by state", ("campaign", "state")),
    "act_simple_campaigns": Family("campaigns that are not archived", ("state",)),
}


def count(session: Session) -> int:
    """Bring `simple_counts` up to date; returns how many rows had to be written."""
    groups = (Job.campaign, Job.state)  # an index has them in this order
    found = session.execute(select(*groups, func.count()).group_by(*groups))
    counts: dict[Key, Mapping[str, Any]] = {(campaign, state): {"n": n} for campaign, state, n in found}
    return rewrite(session, Count, ("campaign", "state"), counts)


def report(session: Session, _held: Settings, _now: datetime) -> Sequence[Table]:
    """The table of `act report`; of more than MOST campaigns those at work come first."""
    found = _counts(session)
    at_work = _at_work(found)
    names = sorted(sorted(found, key=natural), key=lambda name: name not in at_work)[:MOST]
    rows: list[tuple[Cell, ...]] = [
        (name, *(found[name].get(state, 0) for state in JobState), sum(found[name].values())) for name in names
    ]
    left_out = f"{len(found) - MOST} more: `act simple list`" if len(found) > MOST else ""
    return [summed("campaigns (simple)", ("campaign", *JobState, "total"), rows, left_out)]


def collect(session: Session, _settings: Settings, _now: datetime) -> Iterable[Metric]:
    """One statement, of a table that grows with the campaigns and not with their jobs."""
    counts, found = _counts(session), Gauges(FAMILIES)
    at_work = _at_work(counts)
    for name in at_work[:MOST]:
        for state, n in counts[name].items():
            found.set("act_simple_jobs", n, name, state.value)
    found.set("act_simple_campaigns", len(at_work), "at work")
    found.set("act_simple_campaigns", len(counts) - len(at_work), "over")
    return found


def _counts(session: Session) -> dict[str, dict[JobState, int]]:
    counts: dict[str, dict[JobState, int]] = {}
    for campaign, state, n in session.execute(select(Count.campaign, Count.state, Count.n)):
        counts.setdefault(campaign, {})[JobState(state)] = n
    return counts


def _at_work(counts: Mapping[str, Mapping[JobState, int]]) -> list[str]:
    return [name for name in sorted(counts, key=natural) if any(state not in OVER for state in counts[name])]
