"""CRIC into the tables: which PanDA queues there are, which of them are served, and by which CEs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from act_core.atlas.cric import Parsed, Queue, parse_queues
from act_core.atlas.cric_feed import fetch_cric
from act_core.atlas.instance import server_of
from act_core.db import ces
from act_core.db.bulk import chunks
from act_core.db.panda_models import PandaQueue
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Site

logger = log(__name__)
TIMEOUT = timedelta(seconds=120)
CRIC = "cric"


@dataclass(frozen=True, slots=True)
class Source:
    """Whose queues a feed names: the PanDA server, and what the CEs that it names are said to come from."""

    server: str
    origin: str


async def due(_rt: Runtime) -> Sequence[str]:
    return [CRIC]


async def refresh(rt: Runtime, _key: str) -> Counts:
    """Download, parse, write. A CRIC that is away leaves the last good copy in force, and says so."""
    settings = rt.settings
    cric = settings.app.cric
    last_good = cric.jsonfilename or settings.app_dir / "cric.json"
    feed = await fetch_cric(cric.server, cric.cacert or settings.arc.voms.cacertdir, TIMEOUT, last_good)
    if feed.trouble:
        logger.warning("CRIC: %s; the copy of %s ago holds", feed.trouble, feed.age)
    parsed = parse_queues(feed.text, cric, settings.app.panda.sites, settings.arc.sites)
    for problem in parsed.problems:
        logger.warning("CRIC: %s", problem)
    origin = f"{CRIC} {settings.instance}" if settings.instance else CRIC
    counts = await rt.write(_write, Source(server_of(rt), origin), parsed, settings.arc.sites, rt.now())
    return counts + Counts({word: n for word, n in (("bad entries", len(parsed.problems)),) if n})


def sites_of(queues: Mapping[str, Queue], configured: Mapping[str, Site]) -> dict[str, Site]:
    """The CEs of served queues that only CRIC names."""
    return {
        one.name: Site(endpoint=one.endpoint, kind=one.kind)
        for queue in queues.values()
        if queue.served
        for one in queue.endpoints
        if one.name not in configured
    }


def _write(session: Session, source: Source, parsed: Parsed, configured: Mapping[str, Site], now: datetime) -> Counts:
    known = {row.name: row for row in session.scalars(select(PandaQueue).where(PandaQueue.server == source.server))}
    # an entry that cannot be read leaves what was last read of it in force
    kept = {name: Queue.model_validate(known[name].parsed) for name in parsed.unreadable & set(known)}
    ces.sync_ces(session, sites_of({**parsed.queues, **kept}, configured), source.origin, now)
    wanted = {name: _columns(queue, parsed) for name, queue in parsed.queues.items()}
    always = {"server": source.server, "seen_at": now, "modified": now}
    new = [always | {"name": name} | wanted[name] for name in wanted.keys() - known.keys()]
    seen = sorted(wanted.keys() & known.keys())
    changed = sum(known[name].parsed != wanted[name]["parsed"] for name in seen)
    for name in seen:
        _change(known[name], wanted[name], now)
    for names in chunks(seen):
        saw = (
            update(PandaQueue).where(PandaQueue.server == source.server, PandaQueue.name.in_(names)).values(seen_at=now)
        )
        session.execute(saw.execution_options(synchronize_session=False))
    for name in set(known) - set(parsed.queues) - set(kept):
        known[name].served, known[name].why = False, "CRIC names it no longer"
    for chunk in chunks(new):
        session.execute(insert(PandaQueue), chunk)
    served = sum(queue.served for queue in parsed.queues.values())
    return Counts({"queues": len(parsed.queues), "served": served, "new": len(new), "changed": changed})


def _columns(queue: Queue, parsed: Parsed) -> dict[str, Any]:
    return {
        "served": queue.served,
        "why": queue.why[:255] or None,
        "status": queue.status[:16],
        "parsed": parsed.stored[queue.name],
        "raw": parsed.raw[queue.name],
    }


def _change(row: PandaQueue, wanted: Mapping[str, Any], now: datetime) -> None:
    """A row that says the same is not written."""
    if any(getattr(row, column) != value for column, value in wanted.items()):
        for column, value in {**wanted, "modified": now}.items():
            setattr(row, column, value)
