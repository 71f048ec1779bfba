"""The HTTP half of PanDA's simulator: what the real server's entry point accepts, and in what form it answers."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl

from aiohttp import web

from act_core.simulators import panda_legacy, panda_legacy_fields
from act_core.simulators.panda_fields import SIGNATURES, Refusal, Signature, bind
from act_core.simulators.panda_methods import METHODS, Call, Desk, Envelope, envelope
from act_core.simulators.panda_roles import Forbidden, Identity, Roles

JSON = "application/json"
NO_TLS = "SSL secure connection is required"
NO_PRODUCTION = "production or pilot role required"
LARGEST_BODY = 512 * 1024 * 1024  # bytes; bulk reports with metadata are large
VERSIONS = ("v1", "latest")

PeerName = Callable[[web.BaseRequest], str | None]


class BadBody(Exception):
    """500 with this text."""


class Clock:
    """The real time, plus what somebody has put it forward by."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, step: timedelta) -> None:
        self._ahead += step


class Door:
    """Every request comes through here. `peer`: the name (slash form) of a verified client certificate, or None."""

    def __init__(self, desk: Desk, roles: Roles, clock: Clock, peer: PeerName) -> None:
        self._desk, self._roles, self._clock, self._peer = desk, roles, clock, peer

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        method, signature = _found(request.path)
        old = _legacy(request.path)
        if old is not None and self._desk.api != "v1":
            return await self._legacy_answer(request, old)
        if signature is None or self._desk.api == "legacy":
            return _text(403, f"ERROR : method {method.rpartition('/')[2]} is forbidden")
        try:
            identity = self._identity(request)
            given = await _given(request)
        except Forbidden as forbidden:
            return _text(403, str(forbidden))
        except BadBody as bad:
            return _text(500, str(bad))
        try:
            arguments = _admitted(request.method, signature, identity, given)
        except Refusal as refusal:
            return _written(request, envelope(False, str(refusal)))
        return _written(request, METHODS[method](Call(self._desk, arguments, identity, self._clock.now())))

    async def _legacy_answer(self, request: web.Request, method: str) -> web.Response:
        """What goes wrong in a method is a server error with the interpreter's words."""
        try:
            identity = self._identity(request)
            given = await _given_to_legacy(request)
            panda_legacy_fields.bound(method, given, self._desk.lacks)
            accepts = JSON in request.headers.get("Accept", "")
            asked = panda_legacy.Request(self._desk, given, identity, self._clock.now(), accepts)
            answer = panda_legacy.METHODS[method](asked)
        except Forbidden as forbidden:
            return _text(403, str(forbidden))
        except (TypeError, ValueError, OverflowError, OSError) as error:
            return _text(500, str(error))
        if isinstance(answer, str):
            return _text(200, answer)
        return web.Response(body=answer["content"].encode(), content_type=JSON)

    def _identity(self, request: web.Request) -> Identity | None:
        headers = request.headers
        return self._roles.identify(self._peer(request), headers.get("Authorization"), headers.get("Origin"))


def _legacy(path: str) -> str | None:
    """The method of `/server/panda/method`; None: it is none that this server ever had."""
    head, _, method = path.rpartition("/")
    return method if head == "/server/panda" and method in panda_legacy.METHODS else None


def _found(path: str) -> tuple[str, Signature | None]:
    """`module/method` and its signature; None for what the server does not have (any more)."""
    parts = path.strip("/").split("/")
    method = "/".join(parts[2:]) if parts[0] == "api" and len(parts) == 4 and parts[1] in VERSIONS else ""
    return method or parts[-1], SIGNATURES.get(method)


def _admitted(
    verb: str, signature: Signature, identity: Identity | None, given: dict[str, object]
) -> dict[str, object]:
    """The bound arguments, checked in the order of the real server. Raises Refusal."""
    if signature.secure and identity is None:
        raise Refusal(NO_TLS)
    if signature.production and (identity is None or not identity.production):
        raise Refusal(NO_PRODUCTION)
    if verb != signature.verb:
        raise Refusal(f"expecting {signature.verb}, received {verb}")
    return bind(signature, given, query=verb == "GET")


async def _given(request: web.Request) -> dict[str, object]:
    """The raw arguments: a JSON object, or else the texts of a form or of the query. Raises BadBody."""
    if request.method not in ("POST", "PUT"):
        return _texts(request.query_string)
    body = await request.read() if "Content-Length" in request.headers else b""
    if request.headers.get("Content-Type") != JSON:
        return _texts(body.decode("utf-8", "replace"))
    try:
        given = json.loads(body)
    except ValueError as error:
        raise BadBody(f"ERROR : received invalid JSON : {error}") from None
    if not isinstance(given, dict):
        raise BadBody(f"argument after ** must be a mapping, not {type(given).__name__}")
    return given


async def _given_to_legacy(request: web.Request) -> dict[str, object]:
    """A form, of which the first value of each name counts; or JSON, which is always compressed. Raises ValueError."""
    if request.method not in ("POST", "PUT"):
        pairs = parse_qsl(request.query_string, keep_blank_values=True)
    elif request.headers.get("Content-Type") == JSON:
        given = json.loads(gzip.decompress(await request.read()))
        return {name: str(value) if isinstance(value, bool) else value for name, value in given.items()}
    else:
        pairs = parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))


def _texts(encoded: str) -> dict[str, object]:
    return {name: values[0] if len(values) == 1 else values for name, values in parse_qs(encoded).items()}


def _written(request: web.Request, answer: Envelope) -> web.Response:
    """JSON only for those who name it exactly; the header says text/plain in any case."""
    exact = JSON in (request.headers.get("Accept"), request.headers.get("Content-Type"))
    return _text(200, json.dumps(answer) if exact else repr(answer))


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="text/plain")
