"""Deeds: forms of people and programs, done by `act_core.deeds`; refused where the role is too small."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response

from act_core.db import audit
from act_core.db.audit import Actor
from act_core.db.modes import Mode
from act_core.deeds import brakes, modes
from act_core.errors import BadInput
from act_core.web.people import Role
from act_core.web.seat import Forged, Refused, Seat, need, seat_of, session_of, who_asks
from act_core.web.signing_in import below

router = APIRouter()
MOST_FIELDS = 2000
REASON = 255
UNTIL = {"": None, "30m": timedelta(minutes=30), "1h": timedelta(hours=1), "4h": timedelta(hours=4)}
UNTIL |= {"12h": timedelta(hours=12), "1d": timedelta(days=1), "3d": timedelta(days=3), "7d": timedelta(days=7)}
# What needs more than an operator: it cannot be undone, or it is about everything.
MODE_ROLES: Mapping[Mode, Role] = {Mode.OFFLINE: Role.ADMIN, Mode.ABANDONED: Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Posted:
    """A form whose sender was checked."""

    request: Request
    form: FormData

    def text(self, name: str, most: int = REASON, default: str = "") -> str:
        found = self.form.get(name, default)
        if not isinstance(found, str) or len(found) > most:
            raise BadInput(f"{name}: a text of at most {most} characters is wanted")
        return found.strip()

    def texts(self, name: str, most: int = 300) -> list[str]:
        found = [one for one in self.form.getlist(name) if isinstance(one, str)]
        if any(len(one) > most for one in found):
            raise BadInput(f"{name}: texts of at most {most} characters are wanted")
        return found

    @property
    def seat(self) -> Seat:
        return seat_of(self.request)

    @property
    def program(self) -> bool:
        return who_asks(self.request).by == "token"

    def actor(self) -> Actor:
        who = who_asks(self.request)
        return Actor(who.name or "nobody", who.role.word, f"web {_address(self.request)}")

    def allowed(self, role: Role, deed: str, subject: str) -> Actor:
        """Raises Refused, and then a line of the audit says so."""
        try:
            need(self.request, role, f"do this ({deed})")
        except Refused as err:
            facts = {"why": f"the role {role.word} is needed"}
            if err.who.role is not Role.NONE and err.who.by != "nobody":  # whom nobody knows fills no audit
                self.seat.db.write(audit.note, self.actor(), deed, subject, False, facts, self.seat.now())
            raise
        return self.actor()


def _address(request: Request) -> str:
    return request.client.host if request.client else "-"


async def posted(request: Request) -> Posted:
    """Raises Forged for a form of a session that does not carry its word, HTTPException for what is no form."""
    try:
        form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    except ClientDisconnect as err:  # the gate cut it off, or the browser went away and hears nothing
        raise HTTPException(413, "The form is too long, or did not come whole") from err
    session = session_of(request)
    if who_asks(request).by == "session":
        word = form.get("word") or request.headers.get("x-act-word", "")
        if session is None or not isinstance(word, str) or not seat_of(request).sessions.knows(session.number, word):
            raise Forged
    return Posted(request, form)


Form = Annotated[Posted, Depends(posted)]


def answer(form: Posted, words: str, good: bool = True, facts: Mapping[str, Any] | None = None) -> Response:
    """For a program what was done; for a person the page he came from, with a sentence on it."""
    form.seat.changed()
    if form.program:
        return JSONResponse({"done": good, "said": words} | dict(facts or {}), 200 if good else 409)
    root = form.seat.web.rootpath
    then = below(root, f"{root}{form.text('then', 2000, '/')}")
    response = RedirectResponse(then, 303)
    form.seat.sessions.say(response, words, good)
    return response


def tried(form: Posted, deed: str, subject: str, actor: Actor, act: Any) -> Response:
    """Do it; what the deed itself refuses is told, and written down."""
    try:
        return answer(form, act())
    except BadInput as err:
        form.seat.db.write(audit.note, actor, deed, subject, False, {"why": str(err)[:500]}, form.seat.now())
        return answer(form, f"Not done: {err}", good=False)


def _asked(form: Posted, now: datetime) -> modes.Asked:
    word, until = form.text("mode"), form.text("until")
    if word not in {one.value for one in Mode}:
        raise BadInput(f"mode: one of {', '.join(Mode)} is wanted")
    if until not in UNTIL:
        raise BadInput(f"until: one of {', '.join(filter(None, UNTIL))} is wanted")
    span = UNTIL[until]
    return modes.Asked(Mode(word), form.text("reason"), now + span if span else None)


def _names(form: Posted) -> list[str]:
    names = [one for one in form.texts("name") if one]
    if not names:
        raise BadInput("name: at least one is wanted")
    return names


@router.post("/do/ce")
@router.post("/api/do/ce")
def ce_mode(form: Form) -> Response:
    names, now = _names(form), form.seat.now()
    asked = _asked(form, now)
    role, deed = MODE_ROLES.get(asked.mode, Role.OPERATOR), f"ces.{asked.mode}"
    actor = form.allowed(role, deed, ", ".join(names))

    def act() -> str:
        rows = form.seat.db.write(modes.set_ce_mode, actor, names, asked, now)
        return f"{', '.join(row.name for row in rows)}: {asked.mode}"

    return tried(form, deed, ", ".join(names), actor, act)


@router.post("/do/queue")
@router.post("/api/do/queue")
def queue_mode(form: Form) -> Response:
    names, now, server = _names(form), form.seat.now(), form.text("server")
    asked = _asked(form, now)
    role, deed = MODE_ROLES.get(asked.mode, Role.OPERATOR), f"queues.{asked.mode}"
    actor = form.allowed(role, deed, ", ".join(names))

    def act() -> str:
        form.seat.db.write(modes.set_queue_mode, actor, server, names, asked, now)
        return f"{', '.join(names)}: {asked.mode}"

    return tried(form, deed, ", ".join(names), actor, act)


@router.post("/do/share")
@router.post("/api/do/share")
def share_mode(form: Form) -> Response:
    names, now = _names(form), form.seat.now()
    asked = _asked(form, now)
    deed = f"shares.{asked.mode}"
    actor = form.allowed(Role.OPERATOR, deed, ", ".join(names))

    def act() -> str:
        form.seat.db.write(modes.set_share_mode, actor, names, asked, now)
        return f"share {', '.join(names)}: {asked.mode}"

    return tried(form, deed, ", ".join(names), actor, act)


@router.post("/do/tower")
@router.post("/api/do/tower")
def tower_mode(form: Form) -> Response:
    now = form.seat.now()
    asked = _asked(form, now)
    if asked.mode not in (Mode.DRAIN, Mode.ON):
        raise BadInput("mode: drain or on is wanted")
    actor = form.allowed(Role.ADMIN, f"tower.{asked.mode}", "tower")

    def act() -> str:
        if asked.mode is Mode.DRAIN:
            form.seat.db.write(modes.drain, actor, asked.reason, asked.until, now)
            return "The tower drains: it takes and sends nothing new."
        ended = form.seat.db.write(modes.end_drain, actor, asked.reason, now)
        return "The tower takes and sends new jobs." if ended else "The tower was not being drained."

    return tried(form, f"tower.{asked.mode}", "tower", actor, act)


@router.post("/do/brake")
@router.post("/api/do/brake")
def brake(form: Form) -> Response:
    number = form.text("brake")
    if not re.fullmatch(r"\d{1,18}", number):
        raise BadInput("brake: a number is wanted")
    actor = form.allowed(Role.ADMIN, "brake.release", f"brake {number}")

    def act() -> str:
        moving = form.seat.db.write(
            brakes.release_brake, actor, int(number), form.text("reason") or "released on the page", form.seat.now()
        )
        return f"Brake {number} is released for 30 min: {moving.n} jobs move on."

    return tried(form, "brake.release", f"brake {number}", actor, act)
