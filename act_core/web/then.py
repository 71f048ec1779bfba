"""Pages of a moment that is over: the same addresses with `?at=`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from act_core.db import ces as ce_rows
from act_core.errors import BadInput
from act_core.monitor import past
from act_core.monitor.moments import past as moment_of
from act_core.states import CeState
from act_core.web.render import asked_part, page
from act_core.web.seat import Seat, Unknown, seat_of

At = Annotated[str, Query(max_length=60, description="as it was then, UTC")]
FORM = "%Y-%m-%dT%H:%M:%S"  # of an <input type="datetime-local">
_QUEUED = CeState.SUBMITTING, CeState.SUBMITTED, CeState.HOLDING
TILES = {"queued at CEs": _QUEUED, "running": (CeState.RUNNING,), "finishing": (CeState.FINISHING,)}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the slider goes; `at` None: it stands at now."""

    first: datetime
    last: datetime
    at: datetime | None


def bounds(request: Request, since: datetime | None = None, at: datetime | None = None) -> Bounds | None:
    """None where the page is open already, and where nothing has happened yet. `since`: not before this."""
    if asked_part(request):
        return None
    seat = seat_of(request)
    known = seat.glance("span", lambda: seat.read(past.span, seat.now()))
    if known.first is None:
        return None
    last = known.last.replace(microsecond=0)
    first = max(known.first, since or known.first).replace(microsecond=0) + timedelta(seconds=1)
    return Bounds(min(first, last), last, at)


def moment(seat: Seat, text: str) -> datetime:
    """Raises BadInput for what is no moment, or one that nobody can tell of."""
    now = seat.now()
    when = moment_of(text, now, "the time")
    past.check(seat.read(past.span, now), when)
    return when


def counts(seat: Seat, when: datetime) -> past.Counts:
    return seat.read(past.counts_at, when, seat.read(_names))


def ce_at(seat: Seat, name: str, when: datetime) -> past.CeAt:
    """Raises Unknown."""
    then = seat.read(past.ce_at, name, when)
    if not (then.ce.jobs or then.reasons or then.next or name in seat.read(_names)):
        raise Unknown(f"There is no CE {name[:128]!r}.")
    return then


def job_at(seat: Seat, app: str, one: str, when: datetime) -> past.JobThen:
    """Raises BadInput for a job that was not there yet."""
    then = seat.read(past.job_at, one, when, app)
    if then is None:
        raise BadInput("Nobody here knew this job then.")
    return then


def _names(session: Session) -> list[str]:
    return [row.name for row in ce_rows.all_ces(session)]


def overview(request: Request, text: str) -> Response:
    return _page(request, "then_overview.html", "Overview", text, counts)


def ce(request: Request, name: str, text: str) -> Response:
    return _page(request, "then_ce.html", name, text, lambda seat, when: ce_at(seat, name, when))


def job(request: Request, app: str, one: str, text: str, since: datetime | None) -> Response:
    return _page(request, "then_job.html", one, text, lambda seat, when: job_at(seat, app, one, when), since)


def _page(
    request: Request,
    template: str,
    name: str,
    text: str,
    find: Callable[[Seat, datetime], Any],
    since: datetime | None = None,
) -> Response:
    """What cannot be told is said beside the slider, so that another moment is one key away."""
    seat, when = seat_of(request), None
    try:
        when = moment(seat, text)
        view, trouble = find(seat, when), ""
    except BadInput as err:
        view, trouble = None, str(err)
    known = {"name": name, "view": view, "when_": when, "now": seat.now(), "trouble": trouble}
    tools = {"bounds": bounds(request, since, when), "columns": columns, "sum_of": sum_of, "tiles": TILES}
    return page(request, template, 400 if trouble else 200, **known, **tools, at_form=FORM)


def columns(ces: Iterable[past.CeThen]) -> list[str]:
    """States that any of them had."""
    held = {state for one in ces for state in one.jobs}
    return [state.value for state in CeState if state.value in held]


def sum_of(ces: Iterable[past.CeThen], states: Iterable[CeState] = ()) -> int:
    """Jobs of them in these states; of no state: those that had just ended."""
    wanted = tuple(states)
    return sum(
        n for one in ces for state, n in (one.jobs if wanted else one.ended).items() if not wanted or state in wanted
    )
