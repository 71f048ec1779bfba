"""The HTTP half of PanDA's simulator: what the real server's entry point accepts, and in what form it answers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from aiohttp import web

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
        if signature is None:
            return _text(403, f"ERROR : method {method.rpartition('/')[2]} is forbidden")
        try:
            headers = request.headers
            identity = self._roles.identify(self._peer(request), headers.get("Authorization"), headers.get("Origin"))
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


def _texts(encoded: str) -> dict[str, object]:
    return {name: values[0] if len(values) == 1 else values for name, values in parse_qs(encoded).items()}


def _written(request: web.Request, answer: Envelope) -> web.Response:
    """JSON only for those who name it exactly; the header says text/plain in any case."""
    exact = JSON in (request.headers.get("Accept"), request.headers.get("Content-Type"))
    return _text(200, json.dumps(answer) if exact else repr(answer))


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="text/plain")
