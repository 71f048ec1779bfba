"""What `act status` tells of PanDA: queues, jobs that were lost when they were acquired, and jobs in doubt."""

from collections.abc import Iterator, Mapping
from typing import Any

from act_core.atlas import asks
from act_core.atlas.books import NAME
from act_core.atlas.instance import server_key
from act_core.atlas.queues import in_doubt, served
from act_core.atlas.serving import sentence
from act_core.cli.context import now
from act_core.db.session import Database
from act_core.settings import Settings

NAMED = 5  # PandaIDs in a line


def unsettled(db: Database, held: Settings) -> dict[str, Any]:
    """`lost`: calls whose answers were lost, until PanDA has given their jobs up; `forgotten`: jobs by queue."""
    lost = [
        {
            "server": one.server,
            "queue": one.queue,
            "at": one.at,
            "until": one.until,
            "asked": one.asked,
            "n": one.n,
            "what": one.what.value,
            "panda_ids": list(one.panda_ids),
            "why": one.why,
        }
        for settings in held.everybody()
        for one in db.read(asks.lost_now, server_key(settings), now())
    ]
    return {"lost": lost, "forgotten": db.read(in_doubt)}


def told(panda: Mapping[str, Any]) -> Iterator[str]:
    """A line for each."""
    for one in panda["lost"]:
        ids = [str(number) for number in one["panda_ids"]]
        which = f" ({', '.join(ids[:NAMED])}{' …' if len(ids) > NAMED else ''})" if ids else ""
        n = f"{one['n']}" if ids else f"up to {one['n']}"
        yield f"{one['queue']}: {n} jobs{which} acquired and lost; PanDA gives them up by {one['until']:%H:%M} UTC"
    for queue, n in panda["forgotten"].items():
        yield f"{queue}: {n} jobs may be on a CE already, and no attempt stands for them (docs/safety.md)"


def summary(db: Database, held: Settings) -> dict[str, Any] | None:
    """How many queues are served, in words; None: the tower does not serve PanDA."""
    if NAME not in held.app.modules.app:
        return None
    told = [_counted(db, one) for one in held.everybody()]
    total, n = (sum(one[key] for one in told) for key in ("total", "served"))
    return {"total": total, "served": n, "says": "; ".join(one["says"] for one in told)}


def _counted(db: Database, held: Settings) -> dict[str, Any]:
    found = db.read(served, server_key(held))
    words = sentence(found, held.app.cric.pilotmanager)
    says = words or f"{found.served} of {found.total} PanDA queues are served (`act queues list`)"
    whose = f"{held.instance}: " if held.instance else ""
    return {"total": found.total, "served": found.served, "says": whose + says}
