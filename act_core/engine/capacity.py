"""Ask a CE now and then what it says of itself."""

from dataclasses import asdict

from act_core.db import ces, queries
from act_core.runtime import Counts, Runtime


async def ask_capacity(rt: Runtime, ce: str) -> Counts:
    """Its slots, queues and version, as one document; how they are used: docs/policy.md. Counts what is new."""
    said = await (await rt.ce(ce)).capacity()
    known = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(said).items() if v not in (None, ())}
    row = await rt.read(queries.ce_row, ce)
    if not known or row is None:
        return Counts()
    await rt.write(ces.said, ce, known, rt.now())
    return Counts(sizes=1) if (row.capacity or {}).get("total_slots") != known.get("total_slots") else Counts()
