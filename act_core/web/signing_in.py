"""Signing in and out."""

import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from act_core.db import audit
from act_core.db.audit import Actor
from act_core.errors import ActError
from act_core.logs import log
from act_core.web.passwords import LONGEST
from act_core.web.render import page
from act_core.web.seat import Forged, Seat, seat_of, session_of

logger = log(__name__)
router = APIRouter()
Text = Annotated[str, Form(max_length=LONGEST)]


def below(root: str, wanted: str) -> str:
    """Where to go afterwards: a page of ours, and nobody else's."""
    parts = urlsplit(wanted)
    bad = parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted
    if bad or not wanted.isprintable() or "/login" in parts.path or "/logout" in parts.path:
        return f"{root}/"
    return wanted


def _form(request: Request, then: str, code: int = 200, trouble: str = "", name: str = "") -> Response:
    seat = seat_of(request)
    number = request.cookies.get(seat.sessions.before) or secrets.token_urlsafe(16)
    form = {"then": then, "trouble": trouble, "name": name, "form_word": seat.sessions.word(f"in {number}")}
    response = page(request, "login.html", code, **form)
    response.set_cookie(seat.sessions.before, number, 3600, **seat.sessions.how())
    return response


@router.get("/login")
def login(request: Request, then: str = "/") -> Response:
    if session_of(request):
        return RedirectResponse(below(seat_of(request).web.rootpath, then), 303)
    return _form(request, then)


@router.get("/signed-in")
def signed_in(request: Request) -> dict[str, bool]:
    """For the form: a browser that came from a link elsewhere has not sent its cookie, and does so from here."""
    return {"signed_in": session_of(request) is not None}


@router.post("/login")
def sign_in(request: Request, name: Text, password: Text, word: Text, then: Annotated[str, Form()] = "/") -> Response:
    seat = seat_of(request)
    number = request.cookies.get(seat.sessions.before, "")
    if not number or not seat.sessions.knows(f"in {number}", word):
        return _form(request, then, 403, "This form was too old. Try again.", name)
    address = request.client.host if request.client else ""
    browser = seat.sessions.browser(request, name)
    if wait := seat.guessing.wait_s(name, address, browser):
        response = _form(request, then, 429, f"Too many failures. Try again in {wait} s.", name)
        response.headers["Retry-After"] = str(wait)
        return response
    who = seat.people.check(name, password)
    if who is None:
        seat.guessing.failed(name, address, browser)
        logger.warning("nobody signed in as %s from %s: wrong name or password", ascii(name[:60]), address)
        return _form(request, then, 401, "Wrong name or password.", name)
    seat.guessing.succeeded(name, address, browser)
    logger.info("%s signed in from %s", who.name, address)
    note(seat, Actor(who.name, who.role.word, f"web {address}"))
    response = RedirectResponse(below(seat.web.rootpath, then), 303)
    seat.sessions.keep(seat.sessions.begin(who), response)
    seat.sessions.know(response, who.name)
    response.delete_cookie(seat.sessions.before, **seat.sessions.how())
    return response


@router.post("/logout")
def sign_out(request: Request, word: Text) -> Response:
    seat, session = seat_of(request), session_of(request)
    response = RedirectResponse(f"{seat.web.rootpath}/login", 303)
    if session is None:
        return response
    _check(seat, session.number, word)
    seat.sessions.end(session)
    seat.sessions.drop(response)
    return response


def note(seat: Seat, actor: Actor) -> None:
    """A line of the audit; without a database the log has it alone."""
    try:
        seat.db.write(audit.note, actor, "web.sign-in", "page", True, {}, seat.now())
    except ActError as err:
        logger.warning("no line of the audit for the signing in of %s: %s", actor.who, err)


def _check(seat: Seat, number: str, word: str) -> None:
    if not seat.sessions.knows(number, word):
        raise Forged
