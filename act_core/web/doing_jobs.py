"""Deeds on jobs: on one, on those that were picked in the list, or on all that match, which are shown first."""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from fastapi import APIRouter, Request
from starlette.responses import Response

from act_core.db.listing import Filter
from act_core.deeds import jobs as deeds
from act_core.errors import BadInput
from act_core.monitor.views.jobs import Wanted
from act_core.states import Request as Wish
from act_core.web.doing import Form, Posted, answer
from act_core.web.pages import Asked
from act_core.web.people import Role
from act_core.web.render import page

router = APIRouter()
LASTS_S, KEPT = 600.0, 50  # previews
WORDS = {
    Wish.CANCEL: "cancel",
    Wish.FETCH: "fetch the outputs of",
    Wish.RERUN: "rerun at their CE",
    Wish.RESUBMIT: "resubmit",
    Wish.CLEAN: "clean",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person was shown before he says yes."""

    who: str
    request: Wish
    wanted: Filter
    ids: frozenset[int]
    until: float


class Previews:
    """Those that wait for a yes; a few of them, for some minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._kept: dict[str, Shown] = {}

    def keep(self, shown: Shown) -> str:
        number = secrets.token_urlsafe(12)
        with self._lock:
            living = {key: one for key, one in self._kept.items() if one.until > self._clock()}
            self._kept = dict(list(living.items())[-(KEPT - 1) :]) | {number: shown}
        return number

    def take(self, number: str, who: str) -> Shown | None:
        """Once, and by whom it was shown to."""
        with self._lock:
            found = self._kept.get(number)
            if found is None or found.who != who or found.until <= self._clock():
                return None
            del self._kept[number]
            return found


PREVIEWS = Previews()


def filter_of(asked: Wanted, now: datetime) -> Filter:
    """What the list shows, as the deeds name it."""
    return Filter(
        app=asked.app,
        ces=asked.ces,
        states=asked.states,
        shares=(asked.share,) if asked.share else (),
        rules=(asked.rule,) if asked.rule else (),
        error=asked.error or "",
        since_before=now - asked.at_least if asked.at_least else None,
        since_after=now - asked.at_most if asked.at_most else None,
    )


def _wish(form: Posted) -> Wish:
    word = form.text("request")
    if word not in {one.value for one in Wish}:
        raise BadInput(f"request: one of {', '.join(Wish)} is wanted")
    return Wish(word)


@router.post("/do/jobs")
@router.post("/api/do/jobs")
def some(form: Form) -> Response:
    """Jobs by name: `job=app:id`, repeated."""
    request, by_app = _wish(form), defaultdict(list)
    for one in form.texts("job"):
        app, colon, job = one.partition(":")
        if not (app and colon and job):
            raise BadInput("job: APP:ID is wanted")
        by_app[app].append(job)
    n = sum(map(len, by_app.values()))
    force = form.text("force") == "yes"  # lost jobs may then run twice
    actor = form.allowed(Role.ADMIN if force else Role.OPERATOR, f"jobs.{request}", f"{n} jobs")
    if not n:
        return answer(form, "Nothing is done: no job was picked.", good=False)
    done = deeds.Acted()
    for app, ids in by_app.items():
        wanted_ = Filter(ids=tuple(ids), app=app)
        found = deeds.act_on_jobs(form.seat.db, actor, wanted_, request, form.seat.now(), force=force)
        done.asked += found.asked
        done.granted += found.granted
        done.examples |= found.examples
    return _said(form, request, done)


@router.post("/do/jobs/all")
def show_first(http: Request, form: Form, asked: Asked) -> Response:
    """What a deed on all that match would be about."""
    request, now = _wish(form), form.seat.now()
    actor = form.allowed(Role.OPERATOR, f"jobs.{request}", "all that match")
    if asked.archived:
        raise BadInput("jobs at rest in the archive are over: nothing is done to them")
    chosen = replace(filter_of(asked, now), newest=True)
    seen = form.seat.read(deeds.preview, chosen)
    number = PREVIEWS.keep(Shown(actor.who, request, chosen, seen.ids, time.monotonic() + LASTS_S))
    back = f"/jobs?{http.url.query}" if http.url.query else "/jobs"
    return page(http, "confirm.html", view=seen, words=WORDS[request], number=number, back=back)


@router.post("/do/jobs/yes")
def those(form: Form) -> Response:
    """The very jobs that were shown, as far as they still match."""
    actor = form.allowed(Role.OPERATOR, "jobs.all", "all that were shown")
    shown = PREVIEWS.take(form.text("number"), actor.who)
    if shown is None:
        return answer(form, "Nothing is done: that list was too old. Look at it again.", good=False)
    done = deeds.act_on_jobs(form.seat.db, actor, shown.wanted, shown.request, form.seat.now(), among=shown.ids)
    return _said(form, shown.request, done)


def _said(form: Posted, request: Wish, done: deeds.Acted) -> Response:
    why = "; ".join(f"{job}: {words}" for job, words in done.examples.items())
    words = f"{request}: {done.granted} of {done.asked} jobs" + (f". Not done: {why}" if why else "")
    facts = {"asked": done.asked, "granted": done.granted, "examples": done.examples}
    return answer(form, words, good=bool(done.granted), facts=facts)
