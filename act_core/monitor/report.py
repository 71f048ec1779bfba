"""`act report`: what stands where, in tables, out of counts that say how old they are. It reads, and does nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from act_core.apps import Application
from act_core.db import ces, counting
from act_core.db.bootstrap import tower_id
from act_core.db.counting import Count
from act_core.db.models import Ce
from act_core.engine.looks import looked
from act_core.errors import ActError
from act_core.logs import log
from act_core.monitor.times import at, moment, span
from act_core.settings.model import Settings
from act_core.states import CeState
from act_core.tables import Cell, Table, first_natural, summed
from act_core.words import host_of

logger = log(__name__)
# The original's two engines were two tables; a back end is known by how its kind begins.
FAMILIES = (("arc", "ARC CEs"), ("htcondor", "HTCondor CEs"), ("", "other CEs"))
STATES = tuple(state for state in CeState if state not in (CeState.TOSUBMIT, CeState.VOID))
SILENT = timedelta(hours=24)
QUEUED = (CeState.SUBMITTED, CeState.HOLDING)


@dataclass(frozen=True, slots=True)
class Report:
    """Of one tower. `counted_at` None: nobody has ever counted."""

    tower: str
    place: str  # its state tables
    made: datetime
    counted_at: datetime | None
    tables: tuple[Table, ...]

    @property
    def old(self) -> bool:
        """No tower counts."""
        return not counting.fresh(self.counted_at, self.made)

    @property
    def age(self) -> str:
        """Of when the counts are."""
        if self.counted_at is None:
            return "nobody has counted yet"
        late = "; OLD: no tower counts" if self.old else ""
        return f"counted at {at(self.counted_at)}, {span(self.made - self.counted_at)} ago{late}"

    def body(self) -> dict[str, Any]:
        """For programs."""
        age = (self.made - self.counted_at).total_seconds() if self.counted_at else None
        told = {"tower": self.tower, "database": self.place, "at": self.made, "counted_at": self.counted_at}
        return told | {"age_s": age, "tables": [table.body() for table in self.tables]}


def report(session: Session, held: Settings, apps: Sequence[Application], place: str, now: datetime) -> Report:
    """The engine's tables, then those of the applications."""
    own = [table for app in apps for table in tables_of(app, session, held, now)]
    tables = (*engine_tables(session, held, now), *own)
    return Report(tower_id(session), place, now, counting.counted_at(session), tables)


def tables_of(app: Application, session: Session, held: Settings, now: datetime) -> Sequence[Table]:
    """An application's own. One that fails says so in its place, and the others are there."""
    try:
        return app.report(session, held, now) if app.report else ()
    except (ActError, SQLAlchemyError):
        raise
    except Exception as err:
        logger.exception("application %s: its report", app.name)
        return [Table(f"application {app.name}", ("trouble",), ((f"its report fails: {type(err).__name__}: {err}",),))]


def engine_tables(session: Session, held: Settings, now: datetime) -> list[Table]:
    """CEs by state, a table a family; what waits for a CE; what no CE has told anything of for a day."""
    counts, rows = counting.counts(session), {row.name: row for row in ces.all_ces(session)}
    there = by_ce(counts)
    families: dict[str, dict[str, Counter[CeState]]] = {title: {} for _, title in FAMILIES}
    for ce, states in there.items():
        kind = rows[ce].kind if ce in rows else ""
        families[next(title for start, title in FAMILIES if kind.startswith(start))][ce] = states
    found = [_family(title, states, rows) for title, states in families.items() if states or title == FAMILIES[0][1]]
    waits, silent = waiting(counts, now), unheard(there, rows, held, now)
    return [*found, waits, *([silent] if silent.rows else [])]


def by_ce(counts: Sequence[Count]) -> dict[str, Counter[CeState]]:
    """Newest attempts that have, or had, a CE."""
    found: dict[str, Counter[CeState]] = {}
    for row in counts:
        state = CeState(row.state)
        if state in STATES:
            found.setdefault(row.ce, Counter())[state] += row.n
    return found


def _family(title: str, there: Mapping[str, Counter[CeState]], rows: Mapping[str, Ce]) -> Table:
    columns = ("CE", "host", *(state.value for state in STATES), "total")
    lines: list[tuple[Cell, ...]] = []
    for ce, states in sorted(there.items(), key=first_natural):
        host = host_of(rows[ce].endpoint) if ce in rows and rows[ce].endpoint else ""
        lines.append((ce, host if host != ce else "", *(states[state] for state in STATES), states.total()))
    return summed(title, columns, lines)


def waiting(counts: Sequence[Count], now: datetime) -> Table:
    """Jobs that no CE has got yet, by application and share."""
    shares: dict[tuple[str, str], list[Count]] = {}
    for row in counts:
        if row.state == CeState.TOSUBMIT.value:
            shares.setdefault((row.app, row.share), []).append(row)
    lines = [
        (
            app,
            share,
            sum(row.n for row in rows),
            sum(row.cores for row in rows),
            span(now - min(r.oldest for r in rows)),
        )
        for (app, share), rows in sorted(shares.items(), key=first_natural)
    ]
    return summed("waiting for a CE (tosubmit)", ("application", "share", "jobs", "cores", "oldest"), lines)


def unheard(there: Mapping[str, Counter[CeState]], rows: Mapping[str, Ce], held: Settings, now: datetime) -> Table:
    """Submitted and running jobs of which their CE has told nothing for a day."""
    lines: list[tuple[Cell, ...]] = []
    for ce, states in sorted(there.items(), key=first_natural):
        queued, running = sum(states[state] for state in QUEUED), states[CeState.RUNNING]
        then = looked(rows[ce], held) if ce in rows else None
        if queued + running and (then is None or now - then > SILENT):
            lines.append((ce, queued, running, moment(then, now) if then else "never"))
    return summed("no word of their CE for 24 h", ("CE", "submitted", "running", "last word"), lines)
