"""The same views as JSON, for programs with a token (and for browsers that are signed in)."""

from typing import Any

from fastapi import APIRouter, Request

from act_core.monitor.views import jobs, search
from act_core.monitor.views.json import as_json
from act_core.web import then
from act_core.web.pages import (
    SIZE,
    Asked,
    Cursor,
    Id,
    Reader,
    Size,
    all_ces,
    all_queues,
    ce_named,
    queue_named,
    story,
    whole,
)
from act_core.web.seat import seat_of

router = APIRouter(prefix="/api")


@router.get("/me")
def me(who: Reader) -> Any:
    return {"name": who.name, "role": who.role.word}


@router.get("/overview")
def first(request: Request, _who: Reader, at: then.At = "") -> Any:
    """`at`, here and below: as it was then."""
    seat = seat_of(request)
    return as_json(then.counts(seat, then.moment(seat, at)) if at else whole(request))


@router.get("/ces")
def ce_list(request: Request, _who: Reader) -> Any:
    return as_json(all_ces(request))


@router.get("/ces/{name:path}")
def one_ce(request: Request, name: str, _who: Reader, at: then.At = "") -> Any:
    if at:
        seat = seat_of(request)
        return as_json(then.ce_at(seat, name, then.moment(seat, at)))
    return as_json(ce_named(request, name))


@router.get("/queues")
def queue_list(request: Request, _who: Reader, served: bool = False) -> Any:
    return as_json(all_queues(request, served))


@router.get("/queues/{name:path}")
def one_queue(request: Request, name: str, _who: Reader, server: str | None = None) -> Any:
    return as_json(queue_named(request, name, server))


@router.get("/jobs")
def job_list(request: Request, _who: Reader, asked: Asked, cursor: Cursor = None, size: Size = SIZE) -> Any:
    seat = seat_of(request)
    return as_json(seat.read(jobs.jobs, asked, seat.now(), cursor, size))


@router.get("/jobs/{app}/{one:path}")
def one_job(request: Request, app: str, one: str, _who: Reader, at: then.At = "") -> Any:
    found, seat = story(request, app, one), seat_of(request)
    if at:
        return as_json(then.job_at(seat, found.app, found.app_job_id, then.moment(seat, at)))
    return as_json(found)


@router.get("/search")
def find(request: Request, _who: Reader, q: Id) -> Any:
    seat = seat_of(request)
    return as_json(seat.read(search.search, seat.settings, q.strip()))
