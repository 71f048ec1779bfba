"""Jobs that were sent to another endpoint than the one that their CE has now: it cannot know them."""

from collections.abc import Collection
from datetime import datetime

from act_core.db import ledger, queries, silence
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.db.models import Ce
from act_core.reasons import Reason, Topic
from act_core.runtime import Runtime


def sent_by(rt: Runtime, row: Ce | None) -> datetime | None:
    """What was sent elsewhere has a send deadline until then; None: the endpoint has always been this one.

    So has what was sent within the patience of a send after the change: that is not believed lost either.
    """
    return row.moved_at + rt.settings.arc.jobs.senddeadline if row is not None and row.moved_at else None


async def sent_elsewhere(rt: Runtime, ce: str, attempts: Collection[Attempt]) -> set[Attempt]:
    """Those of which the CE, as it is asked now, can say nothing; the operator is told."""
    row = await rt.read(queries.ce_row, ce) if attempts else None
    until = sent_by(rt, row)
    if row is None or until is None:
        return set()
    found = {one for one in attempts if one.send_deadline is not None and one.send_deadline <= until}
    if found:
        await rt.note([await _line(rt, row, until)])
    return found


async def _line(rt: Runtime, row: Ce, until: datetime) -> Line:
    """How many are left; the line ends where there are none."""
    n = sum((await rt.read(silence.by_state_before, row.name, until)).values())
    if not n:
        return Line(Topic.MOVED, None, row.name)
    facts = {
        "ce": row.name,
        "n": n,
        "was": row.moved_from or "another place",
        "since": f"{row.moved_at:%Y-%m-%d %H:%M}",
    }
    return Line(Topic.MOVED, Reason.OTHER_ENDPOINT, row.name, n=n, facts=facts)


async def none_left_elsewhere(rt: Runtime) -> None:
    """End the ledger's lines of CEs that have no such job any more, however they went; count anew."""
    for told in [row.ce for row in await rt.read(ledger.standing) if row.topic == Topic.MOVED]:
        row = await rt.read(queries.ce_row, told)
        until = sent_by(rt, row)
        line = Line(Topic.MOVED, None, told) if row is None or until is None else await _line(rt, row, until)
        if line.reason is None:
            await rt.note([line])
        else:
            await rt.write(ledger.correct, [line])
