"""What every request passes, and what every answer carries."""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from act_core.settings.web import Web

LARGEST = 256 * 1024  # bytes of a request's body
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
CARRIED = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def names(web: Web, host: str) -> frozenset[str]:
    """The names by which a browser may reach us: no foreign name that leads here is answered (DNS rebinding)."""
    own = {host.lower(), *(name.lower() for name in web.hosts)}
    if loopback(host):
        return frozenset(own | LOOPBACK)
    return frozenset(own | LOOPBACK | {socket.gethostname().lower(), socket.getfqdn().lower()})


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(netloc: str) -> str | None:
    """The name in a Host header or in an origin; None: there is none."""
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None


class Gate:
    """Host, origin and size of requests; headers of answers."""

    def __init__(self, app: ASGIApp, allowed: Collection[str], web: Web) -> None:
        self._app, self._allowed, self._secure, self._root = app, allowed, web.secure, web.rootpath

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._refused(scope)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message))
            await send(message)

        if refused:
            code, why = refused
            await PlainTextResponse(f"{why}\n", code)(scope, receive, sent)
            return
        await self._app({**scope, "root_path": self._root}, _bounded(receive), sent)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_of(host) not in self._allowed:
            return 400, "this name is not one of the page's: add it to web.hosts in aCTConfigARC.yaml"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > LARGEST:
            return 413, f"a request has at most {LARGEST} bytes"
        by_token = headers.get("authorization", "").lower().startswith("bearer ")
        if scope["method"] not in SAFE and not by_token and not _from_here(headers, host):
            return 403, "this form was sent by another site: refused"
        return None

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in CARRIED.items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-store")
        if self._secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def _from_here(headers: Headers, host: str) -> bool:
    """What changes something comes from a page of ours: browsers say where from."""
    try:
        return urlsplit(headers.get("origin") or headers.get("referer", "")).netloc.lower() == host.lower()
    except ValueError:
        return False


def _bounded(receive: Receive) -> Receive:
    """Bodies without a length are cut off where they grow too large."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return message if seen <= LARGEST else {"type": "http.disconnect"}

    return bounded
