"""What `act status` tells of PanDA: jobs that were acquired and lost, and jobs of which an attempt may be forgotten."""

from collections.abc import Iterator, Mapping
from typing import Any

from act_core.atlas import asks, forgotten
from act_core.atlas.instance import server_key
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
    return {"lost": lost, "forgotten": db.read(forgotten.in_doubt)}


def told(panda: Mapping[str, Any]) -> Iterator[str]:
    """A line for each."""
    for one in panda["lost"]:
        ids = [str(number) for number in one["panda_ids"]]
        which = f" ({', '.join(ids[:NAMED])}{' …' if len(ids) > NAMED else ''})" if ids else ""
        n = f"{one['n']}" if ids else f"up to {one['n']}"
        yield f"{one['queue']}: {n} jobs{which} acquired and lost; PanDA gives them up by {one['until']:%H:%M} UTC"
    for queue, n in panda["forgotten"].items():
        yield f"{queue}: {n} jobs may be on a CE already, and no attempt stands for them (docs/safety.md)"
