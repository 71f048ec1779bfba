"""Sessions: signed cookies that hold a name, and no state here but the ones that signed out."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from act_core.settings.web import Web
from act_core.web.people import People, Who

RENEW = 10  # a cookie is made anew when a tenth of its idle time is over
SAID, SAID_S = 800, 60  # characters, seconds
FORGET = 10_000  # sessions that ended, at most
KNOWN_S = 60 * 86400  # a browser that somebody signed in from


@dataclass(frozen=True, slots=True)
class Session:
    """One signing in. `number` tells it from others; forms carry a word made of it."""

    who: Who
    number: str
    began: int
    renewed: int


class Sessions:
    def __init__(self, people: People, web: Web) -> None:
        self._people, self._web = people, web
        self._serializer = URLSafeTimedSerializer(people.key, salt="session")
        self._browsers = URLSafeTimedSerializer(people.key, salt="browser")
        self._sayings = URLSafeTimedSerializer(people.key, salt="said")
        self._ended: dict[str, float] = {}
        mark = hashlib.sha256(people.key).hexdigest()[:8]  # of another tower on this host: cookies know no ports
        self.cookie = f"{'__Secure-' if web.secure else ''}act_{mark}"
        self.before = f"{self.cookie}_in"  # while somebody signs in

    def begin(self, who: Who) -> Session:
        now = int(time.time())
        return Session(who, secrets.token_urlsafe(16), now, now)

    def end(self, session: Session) -> None:
        """Nobody comes back with its cookie, even who copied it."""
        now = time.time()
        if len(self._ended) >= FORGET:
            self._ended = {number: until for number, until in self._ended.items() if until > now}
        self._ended[session.number] = now + self._web.session.total_seconds()

    def of(self, request: Request) -> Session | None:
        """Whose cookie came; None: nobody's, or one that holds no longer."""
        read = self._opened(request.cookies.get(self.cookie, ""))
        if read is None or read.get("n") in self._ended:
            return None
        now = int(time.time())
        try:
            name, digest, number, began, renewed = str(read["u"]), str(read["d"]), str(read["n"]), read["b"], read["r"]
        except KeyError:
            return None
        if now - began > self._web.session.total_seconds():
            return None
        who = self._people.again(name, digest)
        return Session(who, number, began, renewed) if who else None

    def _opened(self, text: str) -> dict[str, Any] | None:
        try:
            read: dict[str, Any] = self._serializer.loads(text, max_age=int(self._web.idle.total_seconds()))
        except BadSignature:
            return None
        return read

    def keep(self, session: Session, response: Response) -> None:
        """Give the browser a fresh cookie when the old one has aged."""
        now = int(time.time())
        if session.began == now or now - session.renewed > self._web.idle.total_seconds() / RENEW:
            self._put(response, replace(session, renewed=now))

    def _put(self, response: Response, session: Session) -> None:
        said = {"u": session.who.name, "d": session.who.digest, "n": session.number}
        value = self._serializer.dumps(said | {"b": session.began, "r": session.renewed})
        text = value if isinstance(value, str) else value.decode()
        response.set_cookie(self.cookie, text, int(self._web.idle.total_seconds()), **self.how())

    def say(self, response: Response, words: str, good: bool) -> None:
        """A sentence for the next page."""
        value = self._sayings.dumps([words[:SAID], good])
        text = value if isinstance(value, str) else value.decode()
        response.set_cookie(f"{self.cookie}_said", text, SAID_S, **self.how())

    def said(self, request: Request) -> dict[str, Any] | None:
        """What is to stand on this page."""
        text = request.cookies.get(f"{self.cookie}_said", "")
        try:
            words, good = self._sayings.loads(text, max_age=SAID_S)
        except (BadSignature, ValueError):
            return None
        return {"words": str(words), "good": bool(good)}

    def forget_said(self, response: Response) -> None:
        response.delete_cookie(f"{self.cookie}_said", **self.how())

    def know(self, response: Response, name: str) -> None:
        """From this browser this one has signed in: what others guess elsewhere does not keep him out."""
        value = self._browsers.dumps([name, secrets.token_urlsafe(12)])
        text = value if isinstance(value, str) else value.decode()
        response.set_cookie(f"{self.cookie}_known", text, KNOWN_S, **self.how())

    def browser(self, request: Request, name: str) -> str:
        """Its number, if this one has signed in from it before; else empty."""
        try:
            owner, number = self._browsers.loads(request.cookies.get(f"{self.cookie}_known", ""), max_age=KNOWN_S)
        except (BadSignature, ValueError, TypeError):
            return ""
        return str(number) if owner == name else ""

    def drop(self, response: Response) -> None:
        response.delete_cookie(self.cookie, **self.how())

    def how(self) -> Any:
        path = self._web.rootpath or "/"
        return {"path": path, "httponly": True, "samesite": "strict", "secure": self._web.secure}

    def word(self, number: str) -> str:
        """What a form of this session carries (CSRF)."""
        return hmac.new(self._people.key, f"form\0{number}".encode(), hashlib.sha256).hexdigest()[:40]

    def knows(self, number: str, word: str) -> bool:
        return hmac.compare_digest(self.word(number).encode(), word.encode(errors="replace"))
