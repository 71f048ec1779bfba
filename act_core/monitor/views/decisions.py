"""The decision ledger, page by page, in sentences."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.monitor.views.figures import Told
from act_core.monitor.views.lines import told_lines
from act_core.reasons import Topic


@dataclass(frozen=True, slots=True)
class Decisions:
    """`next`: the cursor of the older ones; None: there are none."""

    now: datetime
    lines: tuple[Told, ...]
    topics: tuple[str, ...]
    next: int | None


def decisions(
    session: Session, now: datetime, ce: str | None, topic: str | None, cursor: int | None, size: int
) -> Decisions:
    """The newest first. `cursor`: `next` of the page before."""
    found = ledger.page(session, size + 1, ce=ce, topic=topic, before=cursor)
    more = len(found) > size
    lines = told_lines(session, found[:size], now)
    return Decisions(now, lines, tuple(sorted(Topic)), found[size - 1].id if more else None)
