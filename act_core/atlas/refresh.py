"""CRIC into the tables: which PanDA queues there are, which of them are served, and by which CEs."""

import asyncio
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from act_core.atlas.cric import Parsed, Queue, parse_queues
from act_core.atlas.cric_feed import Source, fetch_cric, queues_of
from act_core.atlas.instance import server_key
from act_core.atlas.offline import call_back
from act_core.atlas.queues import all_parsed
from act_core.db import ces
from act_core.db.bulk import chunks, update_named
from act_core.db.panda_models import PandaQueue
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.app_model import Cric
from act_core.settings.model import Settings, Site

logger = log(__name__)
CRIC = "cric"
GONE = "CRIC names it no longer"


class _Told:
    """The problems that this process has logged: each is told once, and again when it was gone meanwhile."""

    def __init__(self, _settings: Settings) -> None:
        self._known: frozenset[str] = frozenset()

    def new(self, problems: Sequence[str]) -> list[str]:
        found = [one for one in problems if one not in self._known]
        self._known = frozenset(problems)
        return found

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose queues a feed names: the PanDA server, and what the CEs that it names are said to come from."""

    server: str
    origin: str


async def due(_rt: Runtime) -> Sequence[str]:
    return [CRIC]


async def refresh(rt: Runtime, _key: str) -> Counts:
    """Download, parse, write. A CRIC that is away leaves the last good copy in force, and says so."""
    settings = rt.settings
    cric = named(settings)
    feed = await fetch_cric(source(settings), queues_of)
    if feed.trouble:
        logger.warning("CRIC: %s; the copy of %s ago holds", feed.trouble, feed.age)
    parsed = await asyncio.to_thread(parse_queues, feed.content, cric, settings.app.panda.sites, settings.arc.sites)
    for problem in rt.kept(_Told, _Told).new(parsed.problems):
        logger.warning("CRIC: %s", problem)
    counts = await rt.write(write_queues, owner_of(settings), parsed, settings.arc.sites, rt.now())
    counts += Counts({word: n for word, n in (("bad entries", len(parsed.problems)),) if n})
    return counts if settings.arc.tower.observe else counts + await call_back(rt)


def owner_of(settings: Settings) -> Owner:
    """Of these settings' feed."""
    return Owner(server_key(settings), f"{CRIC} {settings.instance}" if settings.instance else CRIC)


def named(settings: Settings) -> Cric:
    """The section with this tower's name in it."""
    cric = settings.app.cric
    return cric.model_copy(
        update={"harvester": cric.harvester or settings.app.panda.harvesterid or settings.app.panda.schedulerid}
    )


def source(settings: Settings) -> Source:
    """Where the queues are read, and where their last good copy lies."""
    cric = settings.app.cric
    last_good = cric.jsonfilename or settings.app_dir / "cric.json"
    return Source(cric.server, cric.cacert or settings.arc.voms.cacertdir, last_good)


def sites_of(queues: Mapping[str, Queue], configured: Mapping[str, Site]) -> dict[str, Site]:
    """The CEs that only CRIC names of queues whose jobs come here."""
    return {
        one.name: Site(endpoint=one.endpoint, kind=one.kind)
        for queue in queues.values()
        if queue.served or queue.handed
        for one in queue.endpoints
        if one.name not in configured
    }


def write_queues(
    session: Session, owner: Owner, parsed: Parsed, configured: Mapping[str, Site], now: datetime
) -> Counts:
    """What says the same is not written: each row has a digest of what was written last."""
    mine = PandaQueue.server == owner.server
    known = dict(session.execute(select(PandaQueue.name, PandaQueue.digest).where(mine)).tuples().all())
    # an entry that cannot be read leaves what was last read of it in force
    kept = all_parsed(session, owner.server, parsed.unreadable & set(known))
    ces.sync_ces(session, sites_of({**parsed.queues, **kept}, configured), owner.origin, now)
    wanted = {
        name: _columns(queue, parsed) | {"seen_at": now, "modified": now} for name, queue in parsed.queues.items()
    }
    new = [{"server": owner.server, "name": name, **wanted[name]} for name in wanted.keys() - known.keys()]
    changed = {name: row for name, row in wanted.items() if known.get(name, row["digest"]) != row["digest"]}
    for chunk in chunks(new):
        session.execute(insert(PandaQueue), chunk, execution_options={"render_nulls": True})  # one statement, not many
    update_named(session, PandaQueue, changed, mine)
    _gone(session, mine, set(known) - set(parsed.queues) - set(kept), now)
    served = sum(queue.served for queue in parsed.queues.values())
    return Counts({"queues": len(parsed.queues), "served": served, "new": len(new), "changed": len(changed)})


def _gone(session: Session, mine: ColumnElement[bool], names: Collection[str], now: datetime) -> None:
    """Queues of which nobody speaks any more are not served; without a digest they are written when they are back."""
    values = {"served": False, "why": GONE, "digest": "", "modified": now}
    for chunk in chunks(sorted(names)):
        stale = update(PandaQueue).where(mine, PandaQueue.name.in_(chunk), PandaQueue.digest != "")
        session.execute(stale.values(**values).execution_options(synchronize_session=False))


def _columns(queue: Queue, parsed: Parsed) -> dict[str, Any]:
    stored, raw = parsed.stored[queue.name], parsed.raw[queue.name]
    said = hashlib.sha256(json.dumps([stored, raw], sort_keys=True).encode())
    return {
        "served": queue.served,
        "why": queue.why[:255] or None,
        "status": queue.status[:16],
        "parsed": stored,
        "raw": raw,
        "digest": said.hexdigest(),
    }
