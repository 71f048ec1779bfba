"""The page as an application: routes, errors, static files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from act_core.errors import BadInput, ConfigError, Transient
from act_core.logs import log
from act_core.settings import Settings
from act_core.web import api, doing, doing_jobs, gate, pages, records, runs, signing_in
from act_core.web.people import Role
from act_core.web.render import HERE, asked_part, page
from act_core.web.seat import Forged, Refused, Seat, Unknown, seat_of, who_asks

logger = log(__name__)
RETRY_S = "5"
ROUTERS = tuple(one.router for one in (signing_in, pages, records, runs, doing, doing_jobs, api))


class Static(StaticFiles):
    """Names carry a mark of their content: browsers keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def make_app(settings: Settings, host: str | None = None) -> gate.Gate:
    """Raises ConfigError for a key or a password file that others can read."""
    seat = Seat(settings)

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        yield
        seat.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=living)
    app.state.seat = seat
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", Static(directory=HERE / "static"))
    for kind, answer in ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return gate.Gate(app, gate.names(seat.web, host or seat.web.host), seat.web)


def _for_programs(request: Request) -> bool:
    return request.url.path.removeprefix(seat_of(request).web.rootpath).startswith("/api/")


def _said(request: Request, code: int, words: str, title: str = "", **more: Any) -> Response:
    """An error: a page, its living part, or JSON."""
    if _for_programs(request):
        return JSONResponse({"error": words}, code)
    known = {"code": code, "heading": title, "words": words, "away": code == 503}
    return page(request, "error.html", code, **(known | more))


def _refused(request: Request, err: Exception) -> Response:
    assert isinstance(err, Refused)
    if _for_programs(request):
        return _said(request, 403 if err.who.role else 401, f"to {err.what}, the role {err.role.word} is needed")
    if err.who.role is Role.NONE or err.who.by == "nobody":
        seat = seat_of(request)
        if asked_part(request):
            return Response("sign in", 401)
        path = request.url.path if request.method == "GET" else f"{seat.web.rootpath}/"
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{seat.web.rootpath}/login?then={quote(path + query, safe='')}", 303)
    words = f"To {err.what}, the role {err.role.word} is needed. You are {err.who.name}, with the role "
    return _said(request, 403, f"{words}{err.who.role.word}.", "Not for you")


def _forged(request: Request, _err: Exception) -> Response:
    words = "This form does not belong to your session. Load the page again and repeat it."
    return _said(request, 403, words, "Not done")


def _unknown(request: Request, err: Exception) -> Response:
    return _said(request, 404, str(err), "Not found")


def _http(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    words = "There is no such page." if err.status_code == 404 else f"{err.detail}."
    if err.status_code == 404 and who_asks(request).role is Role.NONE and not _for_programs(request):
        return RedirectResponse(f"{seat_of(request).web.rootpath}/login", 303)
    return _said(request, err.status_code, words, "Not found" if err.status_code == 404 else "It did not work")


def _bad(request: Request, err: Exception) -> Response:
    if isinstance(err, RequestValidationError):
        one = err.errors()[0]
        return _said(request, 400, f"{one['loc'][-1]}: {one['msg']}", "Not understood")
    return _said(request, 400, str(err), "Not understood")


def _away(request: Request, err: Exception) -> Response:
    """The database is away, or not as it should be: the page says so, and goes on asking."""
    logger.warning("no answer for %s: %s", request.url.path, err)
    response = _said(request, 503, str(err), "The database does not answer")
    response.headers["Retry-After"] = RETRY_S
    return response


def _broken(request: Request, err: Exception) -> Response:
    logger.error("%s failed", request.url.path, exc_info=err)
    return _said(request, 500, "This page failed. The page's log says why.", "Our own mistake")


ANSWERS: dict[type[Exception], Any] = {
    Refused: _refused,
    Forged: _forged,
    Unknown: _unknown,
    HTTPException: _http,
    RequestValidationError: _bad,
    BadInput: _bad,
    Transient: _away,
    ConfigError: _away,
    Exception: _broken,
}
