"""Pages from templates: whole ones, or their living part, with a mark that tells whether it changed."""

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from act_core.states import HEEDED
from act_core.web.people import Role
from act_core.web.seat import seat_of, session_of, who_asks
from act_core.web.words import FILTERS

HERE = Path(__file__).parent
POLL_S = 5  # between looks of an open page


def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.globals["heeded"] = {wish.value: {state.value for state in states} for wish, states in HEEDED.items()}
    return made


TEMPLATES = environment()


def static_mark() -> str:
    """Changes with the static files, so that browsers keep them until then."""
    digest = hashlib.sha256()
    for path in sorted((HERE / "static").rglob("*.[jc]s*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


MARK = static_mark()


def asked_part(request: Request) -> bool:
    """The page is open already and asks for what lives on it."""
    return request.headers.get("hx-request") == "true"


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page, or its living part; 304 for a part that the browser has."""
    part = asked_part(request)
    text = TEMPLATES.get_template(template).render(**context(request, part), **values)
    if not part:
        response: Response = HTMLResponse(text, status)
    else:
        mark = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        same = status == 200 and request.headers.get("if-none-match") == mark
        response = Response(status_code=304) if same else HTMLResponse(text, status)
        response.headers["ETag"] = mark
    sessions = seat_of(request).sessions
    if not part and request.cookies.get(f"{sessions.cookie}_said"):
        sessions.forget_said(response)
    if session := session_of(request):
        sessions.keep(session, response)
    return response


def context(request: Request, part: bool) -> dict[str, Any]:
    """What every template knows."""
    seat, session, who = seat_of(request), session_of(request), who_asks(request)
    root = seat.web.rootpath
    here = request.url.path.removeprefix(root) or "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return {
        "layout": "part.html" if part else "base.html",
        "title": seat.web.title,
        "root": root,
        "here": here,
        "address": f"{root}{here}{query}",
        "who": who,
        "signed_in": session is not None,
        "operator": who.may(Role.OPERATOR),
        "admin": who.may(Role.ADMIN),
        "word": seat.sessions.word(session.number) if session else "",
        "mark": MARK,
        "poll": POLL_S,
        "flash": None if part else seat.sessions.said(request),
    }
