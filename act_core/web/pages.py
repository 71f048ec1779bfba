"""The pages that are read."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from act_core.db import pages as questions
from act_core.errors import BadInput
from act_core.monitor.views import ces, job, jobs, overview, queues, search
from act_core.states import CeState
from act_core.web import then
from act_core.web.people import Who
from act_core.web.render import page
from act_core.web.seat import Unknown, reader, seat_of
from act_core.web.words import part

router = APIRouter()
Reader = Annotated[Who, Depends(reader)]
Id = Annotated[str, Query(max_length=300)]
LARGEST = 2**63 - 1  # that a database takes
Cursor = Annotated[int | None, Query(ge=0, le=LARGEST)]
SPANS = {"": None, "10m": timedelta(minutes=10), "1h": timedelta(hours=1), "6h": timedelta(hours=6)}
SPANS |= {"1d": timedelta(days=1), "3d": timedelta(days=3), "7d": timedelta(days=7)}


def whole(request: Request) -> overview.Overview:
    """The overview of this moment, shared by all who look."""
    seat = seat_of(request)
    return seat.glance("overview", lambda: seat.read(overview.overview, seat.settings, seat.now()))


def all_ces(request: Request) -> ces.CeList:
    seat = seat_of(request)
    return seat.glance("ces", lambda: seat.read(ces.ces, seat.settings, seat.now()))


def all_queues(request: Request, served: bool) -> queues.QueueList:
    seat = seat_of(request)
    return seat.glance(f"queues {served}", lambda: seat.read(queues.queues, seat.settings, seat.now(), served))


def ce_named(request: Request, name: str) -> ces.CePage:
    """Raises Unknown."""
    seat = seat_of(request)
    found = seat.read(ces.ce, seat.settings, name, seat.now())
    if found is None:
        raise Unknown(f"There is no CE {name[:128]!r}.")
    return found


def queue_named(request: Request, name: str, server: str | None) -> queues.QueuePage:
    """Raises Unknown."""
    seat = seat_of(request)
    found = seat.read(queues.queue, seat.settings, name, seat.now(), server)
    if found is None:
        raise Unknown(f"There is no PanDA queue {name[:128]!r}.")
    return found


@router.get("/")
def first(request: Request, _who: Reader, at: then.At = "") -> Response:
    if at:
        return then.overview(request, at)
    return page(request, "overview.html", view=whole(request), bounds=then.bounds(request), at_form=then.FORM)


@router.get("/ces")
def ce_list(request: Request, _who: Reader) -> Response:
    return page(request, "ces.html", view=all_ces(request))


@router.get("/ces/{name:path}")
def one_ce(request: Request, name: str, _who: Reader, at: then.At = "") -> Response:
    if at:
        return then.ce(request, name, at)
    return page(request, "ce.html", view=ce_named(request, name), bounds=then.bounds(request), at_form=then.FORM)


@router.get("/queues")
def queue_list(request: Request, _who: Reader, served: bool = True) -> Response:
    return page(request, "queues.html", view=all_queues(request, served), served=served)


@router.get("/queues/{name:path}")
def one_queue(request: Request, name: str, _who: Reader, server: str | None = None) -> Response:
    return page(request, "queue.html", view=queue_named(request, name, server))


def wanted(
    app: str = "",
    ce: Annotated[list[str] | None, Query()] = None,
    state: Annotated[list[str] | None, Query()] = None,
    share: str = "",
    rule: str = "",
    error: Id = "",
    at_least: str = "",
    at_most: str = "",
    attempts: bool = False,
    archived: bool = False,
) -> jobs.Wanted:
    """What the list's form asks for. Raises BadInput."""
    states = [one for one in state or () if one]
    if unknown := sorted(set(states) - {one.value for one in CeState}):
        raise BadInput(f"no state {', '.join(unknown)[:100]}; there are {', '.join(CeState)}")
    if at_least not in SPANS or at_most not in SPANS:
        raise BadInput(f"times are one of {', '.join(filter(None, SPANS))}")
    return jobs.Wanted(
        app=app or None,
        ces=tuple(one for one in ce or () if one),
        states=tuple(map(CeState, states)),
        share=share or None,
        rule=rule or None,
        error=error or None,
        at_least=SPANS[at_least],
        at_most=SPANS[at_most],
        newest=not attempts,
        archived=archived,
    )


Asked = Annotated[jobs.Wanted, Depends(wanted)]
Size = Annotated[int, Query(ge=1, le=jobs.MOST)]
SIZE = 50


@router.get("/jobs")
def job_list(request: Request, _who: Reader, asked: Asked, cursor: Cursor = None, size: Size = SIZE) -> Response:
    seat = seat_of(request)
    view = seat.read(jobs.jobs, asked, seat.now(), cursor, size)
    names = seat.glance("names", lambda: seat.read(questions.ce_names))
    form = {key: request.query_params.getlist(key) for key in request.query_params}
    following = [(key, one) for key, one in request.query_params.multi_items() if key not in ("cursor", "served")]
    known: dict[str, Any] = {"ces": names, "states": list(CeState), "spans": SPANS}
    known |= {"form": form, "following": following}
    return page(request, "jobs.html", view=view, asked=asked, cursor=cursor, **known)


def story(request: Request, app: str, one: str) -> job.JobStory:
    """Raises Unknown."""
    seat = seat_of(request)
    found = seat.read(job.job, seat.settings, one, seat.now(), app if app != "-" else None)
    if found is None:
        raise Unknown(f"Nobody here knows a job {one[:100]!r}.")
    return found


@router.get("/jobs/{app}/{one:path}")
def one_job(request: Request, app: str, one: str, _who: Reader, at: then.At = "") -> Response:
    view = story(request, app, one)
    made = min((attempt.line.created for attempt in view.attempts), default=None)
    if at:
        return then.job(request, view.app, view.app_job_id, at, made)
    return page(request, "job.html", view=view, bounds=then.bounds(request, made), at_form=then.FORM)


@router.get("/credentials")
def credentials(request: Request, _who: Reader) -> Response:
    seat = seat_of(request)
    view = seat.glance("credentials", lambda: seat.read(overview.credentials, seat.now()))
    return page(request, "credentials.html", view=view)


@router.get("/search")
def find(request: Request, _who: Reader, q: Id = "") -> Response:
    """One hit is gone to at once."""
    seat, text = seat_of(request), q.strip()
    found = seat.read(search.search, seat.settings, text) if text else search.Found("", (), False)
    if len(found.hits) == 1 and (place := address(found.hits[0])):
        return RedirectResponse(f"{seat.web.rootpath}{place}", 303)
    return page(request, "search.html", view=found, address_of=address)


def address(hit: search.Hit) -> str:
    """The page of what was found; empty: it has none."""
    match hit.kind:
        case "ce":
            return f"/ces/{part(hit.name)}"
        case "queue":
            return f"/queues/{part(hit.name)}" + (f"?server={part(hit.server)}" if hit.server else "")
        case "orphan":
            return f"/ces/{part(hit.ce)}" if hit.ce else ""
        case _:
            return f"/jobs/{part(hit.app or '-')}/{part(hit.name)}"
