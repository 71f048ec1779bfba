"""What the page's parts share: settings, the state tables, people, sessions."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session as Tables
from starlette.requests import Request

from act_core.db.bootstrap import open_tables
from act_core.db.session import Database
from act_core.settings import Settings
from act_core.web.guessing import Guessing
from act_core.web.people import People, Role, Who
from act_core.web.sessions import Session, Sessions

P = ParamSpec("P")
T = TypeVar("T")
GLANCE_S = 2.0


class Seat:
    """One page's own; `of(request)` finds it."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.web = settings, settings.arc.web
        self.people = People(settings)
        self.sessions = Sessions(self.people, self.web)
        self.guessing = Guessing()
        self._lock, self._glancing = threading.Lock(), threading.Lock()
        self._glances: dict[str, tuple[float, Any]] = {}
        self._db: Database | None = None

    @property
    def db(self) -> Database:
        """The state tables, opened when they are first wanted: a page without them says so, and goes on asking."""
        with self._lock:
            if self._db is None:
                self._db = open_tables(self.settings)
            return self._db

    def read(self, fn: Callable[Concatenate[Tables, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.db.read(fn, *args, **kwargs)

    def glance(self, name: str, look: Callable[[], T]) -> T:
        """What many open pages ask for every few seconds is read once for all of them."""
        with self._glancing:
            kept = self._glances.get(name)
            if kept is None or time.monotonic() - kept[0] > GLANCE_S:
                kept = time.monotonic(), look()
                self._glances[name] = kept
            found: T = kept[1]
            return found

    def changed(self) -> None:
        """Somebody did something: what is shown next is read anew."""
        with self._glancing:
            self._glances.clear()

    def now(self) -> datetime:
        return self.db.now()

    def close(self) -> None:
        if self._db is not None:
            self._db.close()


def seat_of(request: Request) -> Seat:
    seat = request.app.state.seat
    assert isinstance(seat, Seat)
    return seat


class Refused(Exception):
    """Who asks may not; `role`: who may."""

    def __init__(self, who: Who, role: Role, what: str) -> None:
        super().__init__(what)
        self.who, self.role, self.what = who, role, what


class Forged(Exception):
    """A form without the word of its session."""


class Unknown(Exception):
    """There is no such thing."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def session_of(request: Request) -> Session | None:
    """The session that the cookie holds; looked up once a request."""
    if not hasattr(request.state, "session"):
        request.state.session = seat_of(request).sessions.of(request)
    found: Session | None = request.state.session
    return found


def who_asks(request: Request) -> Who:
    """By token, by session, or nobody. A token that nobody has is nobody's, whatever cookies come with it."""
    seat = seat_of(request)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return seat.people.by_token(token.strip()) or Who("", Role.NONE, by="nobody")
    session = session_of(request)
    return session.who if session else seat.people.anonymous()


def need(request: Request, role: Role, what: str) -> Who:
    """Raises Refused."""
    who = who_asks(request)
    if not who.may(role):
        raise Refused(who, role, what)
    return who


def reader(request: Request) -> Who:
    return need(request, Role.VIEWER, "see this page")
