"""CRIC's downtimes into the table. Trouble with their feed stops no other one, and leaves what is known in force."""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas.cric_downtimes import Announced, feed_of, matched, parse_downtimes
from act_core.atlas.cric_feed import Source, fetch_cric
from act_core.atlas.instance import server_of
from act_core.atlas.panda_identity import panda_proxy
from act_core.db.downtimes import sync_downtimes
from act_core.db.models import Ce
from act_core.db.panda_models import PandaQueue
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
ORIGIN = "cric"  # of an instance: its name after @
KEY = "downtimes"
QUERY = "/api/core/downtime/query/"


async def due(rt: Runtime) -> Sequence[str]:
    return [KEY] if address(rt.settings) else []


def address(settings: Settings) -> str:
    """Where they are read; empty: nowhere."""
    cric = settings.app.cric
    if cric.downtimes is not None:
        return cric.downtimes
    url = urlsplit(cric.server)
    return urlunsplit((url.scheme, url.netloc, QUERY, "json", "")) if url.netloc else ""


async def refresh(rt: Runtime, _key: str) -> Counts:
    """Download, parse, match, write. CRIC shows them only to those whom it knows: our proxy is shown, if there is one.

    Raises what `fetch_cric` raises where they were never read.
    """
    settings = rt.settings
    feed = await fetch_cric(_source(settings), feed_of)
    if feed.trouble:
        logger.warning("%s; the copy of %s ago holds", feed.trouble, feed.age)
    parsed = await asyncio.to_thread(parse_downtimes, feed.content, rt.now())
    for problem in parsed.problems:
        logger.warning("CRIC: %s", problem)
    n = await rt.write(_write, server_of(rt), origin_of(settings), parsed.announced)
    counts = {"downtimes": n, "bad downtimes": len(parsed.problems)}
    return Counts({word: n for word, n in counts.items() if n})


def _source(settings: Settings) -> Source:
    proxy = panda_proxy(settings)
    shown = proxy if proxy is not None and proxy.is_file() else None
    ca = settings.app.cric.cacert or settings.arc.voms.cacertdir
    return Source(address(settings), ca, settings.app_dir / "cric-downtimes.json", shown, "CRIC's downtimes")


def origin_of(settings: Settings) -> str:
    return f"@{settings.instance}" if settings.instance else ORIGIN


def _write(session: Session, server: str, origin: str, announced: Sequence[Announced]) -> int:
    """How many there are of CEs of ours."""
    ces = {name: endpoint for name, endpoint in session.execute(select(Ce.name, Ce.endpoint))}
    found = matched(announced, ces, _sites(session, server) if announced else {})
    sync_downtimes(session, origin, found)
    return len(found)


def _sites(session: Session, server: str) -> Mapping[str, Sequence[str]]:
    """Name of a site, in any of its spellings → the CEs of its queues."""
    found: dict[str, set[str]] = {}
    for queue in session.scalars(select(PandaQueue.parsed).where(PandaQueue.server == server)):
        for site in queue.get("sites", ()):
            found.setdefault(site, set()).update(one["name"] for one in queue["endpoints"])
    return {site: sorted(names) for site, names in found.items()}
