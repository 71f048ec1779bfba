"""What the tables of PanDA jobs say, as numbers for Prometheus; of all instances."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client.core import Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.atlas.books import HARVESTER
from act_core.atlas.instance import server_key
from act_core.db import measuring
from act_core.db.panda_models import PandaCount, PandaQueue
from act_core.monitor.gauges import Family, Gauges
from act_core.settings.model import Settings
from act_core.states import PANDA_FINAL

_FINAL = {state.value for state in PANDA_FINAL}
FAMILIES: Mapping[str, Family] = {
    "act_panda_jobs": Family(
        "PanDA jobs by our state and by what PanDA was told (empty: nothing yet)", ("server", "queue", "state", "told")
    ),
    "act_panda_oldest_seconds": Family(
        "how long the oldest PanDA job is in its state; closed ones are left out", ("server", "state")
    ),
    "act_heartbeats_overdue": Family("reports to PanDA whose time has come; at most 10000 are counted", ("server",)),
    "act_heartbeat_late_seconds": Family("since when the first of them waits", ("server",)),
    "act_panda_queues": Family(
        "PanDA queues, by CRIC's status and whether we serve them", ("server", "status", "served")
    ),
}


def collect(session: Session, settings: Settings, now: datetime) -> Iterable[Metric]:
    """Three statements; none reads a table that grows with the number of jobs, but for an index of what is overdue."""
    found = Gauges(FAMILIES)
    oldest: dict[tuple[str, str], datetime] = {}
    columns = (PandaCount.server, PandaCount.queue, PandaCount.state, PandaCount.told, PandaCount.n, PandaCount.oldest)
    for server, queue, state, told, n, since in session.execute(select(*columns)):
        found.set("act_panda_jobs", n, server, queue, state, told)
        if state not in _FINAL:
            oldest[server, state] = min(since, oldest.get((server, state), since))
    for (server, state), since in oldest.items():
        found.set("act_panda_oldest_seconds", _since(since, now), server, state)
    late = measuring.late_heartbeats(session, now, HARVESTER)
    for server in late.keys() | {server_key(seen) for seen in settings.everybody()}:
        one = late.get(server)
        found.set("act_heartbeats_overdue", one.n if one else 0, server)
        found.set("act_heartbeat_late_seconds", _since(one.since, now) if one else 0, server)
    by = (PandaQueue.server, PandaQueue.status, PandaQueue.served)
    for server, status, served, n in session.execute(select(*by, func.count()).group_by(*by)):
        found.set("act_panda_queues", n, server, status, "yes" if served else "no")
    return found


def _since(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())
