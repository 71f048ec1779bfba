"""When a CE was last asked about all its jobs: what is told of them is as old as that."""

from datetime import datetime, timedelta

from act_core.db.models import Ce
from act_core.settings.model import Settings

_LEAST = timedelta(minutes=10)


def looked(ce: Ce, held: Settings) -> datetime | None:
    """The last good answer about all its jobs; None: there was none yet."""
    return None if ce.next_poll_at is None else ce.next_poll_at - interval(ce.name, held)


def interval(ce: str, held: Settings) -> timedelta:
    """Between two full looks at this CE."""
    site = held.arc.sites.get(ce)
    return held.arc.jobs.checkinterval if site is None or site.poll is None else site.poll


def recent(ce: Ce, held: Settings, now: datetime) -> bool:
    """Whether so little time has passed since then that one or two looks may have failed, and no more."""
    then = looked(ce, held)
    return then is not None and now - then <= max(_LEAST, 3 * interval(ce.name, held))
