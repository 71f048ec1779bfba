"""One fault at one call: a middleware beneath a simulator's door that knows every call of the two lives by its name."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from act_core.simulators.answers import body_of, half_of, hang_up, headers_of

WRONG_TYPES = {"list": {"0": "?"}, "dict": ["?"], "str": 17, "int": "seventeen", "bool": "perhaps", "float": "?"}


@dataclass(frozen=True)
class Call:
    """A call by its wire: which server, which method, and what is searched in path and query."""

    server: str
    method: str
    path: str
    body: bytes = b""

    def is_made_by(self, server: str, request: web.BaseRequest) -> bool:
        same = server == self.server and re.fullmatch(self.method, request.method) is not None
        return same and re.search(self.path, request.path_qs) is not None


CALLS: dict[str, Call] = {
    "arc: versions": Call("arc", "GET", r"/rest$"),
    "arc: delegation": Call("arc", "POST", r"/delegations(\?|/[^?]*\?)action=(new|renew)"),
    "arc: delegation signed": Call("arc", "PUT", r"/delegations/"),
    "arc: submit": Call("arc", "POST", r"/jobs\?action=new"),
    "arc: send inputs": Call("arc", "PUT", r"/jobs/[^/]+/session/"),
    "arc: list of the ended": Call("arc", "GET", r"/jobs\?state="),
    "arc: list": Call("arc", "GET", r"/jobs$"),
    "arc: status": Call("arc", "POST", r"/jobs\?action=status"),
    "arc: info": Call("arc", "POST", r"/jobs\?action=info"),
    "arc: capacity": Call("arc", "GET", r"/info(\?|$)"),
    "arc: list of files": Call("arc", "GET", r"/jobs/[^/]+/session/?$"),
    "arc: fetch": Call("arc", "GET", r"/jobs/[^/]+/session/."),
    "arc: diagnose": Call("arc", "GET", r"/jobs/[^/]+/diagnose"),
    "arc: kill": Call("arc", "POST", r"/jobs\?action=kill"),
    "arc: clean": Call("arc", "POST", r"/jobs\?action=clean"),
    "arc: restart": Call("arc", "POST", r"/jobs\?action=restart"),
    "panda: getJob": Call("panda", "POST", r"acquire_jobs"),
    "panda: final report": Call("panda", "POST", r"update_jobs_bulk", rb'"job_status": "(finished|failed)"'),
    "panda: updateJob": Call("panda", "POST", r"update_jobs_bulk"),
    "panda: workers": Call("panda", "POST", r"update_workers"),
    "panda: harvester": Call("panda", "POST", r"harvester/heartbeat"),
    "panda: role": Call("panda", "GET", r"get_user_attributes"),
    "panda: alive": Call("panda", "GET", r"is_alive"),
    "panda: job status": Call("panda", "GET", r"get_job_status"),
    "storage: size and checksum": Call("storage", "HEAD|PROPFIND", r"/out/"),
    "cric: queues": Call("cric", "GET", r"pandaqueue"),
    "cric: downtimes": Call("cric", "GET", r"downtime"),
}


async def name_of(server: str, request: web.Request) -> str:
    """What the matrix calls it; a call that it does not know goes by its wire."""
    for name, call in CALLS.items():
        if call.is_made_by(server, request) and re.search(call.body, await request.read() if call.body else b""):
            return name
    return f"{server}: {request.method} {request.path_qs}"


@dataclass
class Strike:
    """The first `times` calls of this name meet `fault`. `at`: when it struck; `back`: when such a call went well."""

    call: str
    fault: str
    times: int = 1
    hits: int = 0
    at: datetime | None = None
    back: datetime | None = None


@dataclass
class Striker:
    """Of all servers of a bench. `die`: what kills the tower; `now`: the tower's clock."""

    strikes: list[Strike] = field(default_factory=list)
    die: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    dead: bool = False  # the tower that calls has died; what it still sends never leaves its machine
    seen: Counter[str] = field(default_factory=Counter)

    def at(self, server: str) -> Any:
        """The middleware of one server."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.dead and ours(request):
                return hang_up(request)
            name = await name_of(server, request)
            self.seen[name] += 1
            mine = [strike for strike in self.strikes if strike.call == name]
            for strike in mine:
                if strike.hits < strike.times:
                    strike.hits += 1
                    strike.at = self.now()
                    return cast(web.StreamResponse, await FAULTS[strike.fault](self, request, handler))
            answer = await handler(request)
            for strike in mine:
                strike.back = strike.back or self.now()
            return answer

        return middleware


def ours(request: web.Request) -> bool:
    """Whether the tower calls, and not a CE that fetches or stores a job's files."""
    return not (request.method in ("GET", "PUT") and request.path.startswith(("/pilot/", "/out/")))


# --- the faults -----------------------------------------------------------------------------------------------------
async def _killed_before(striker: Striker, request: web.Request, _: Handler) -> web.StreamResponse:
    striker.dead = True
    striker.die()
    return hang_up(request)


async def _killed_after(striker: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    await handler(request)
    striker.dead = True
    striker.die()
    return hang_up(request)


async def _reply_lost(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    await handler(request)
    return hang_up(request)


class _Said(web.Response):
    """An answer that is on the wire already, on a connection that stays."""

    keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        self._req = request

    async def write_eof(self, data: bytes = b"") -> None: ...


async def _reply_twice(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer comes a second time on the same connection, where the next call could take it for its own.

    Both in one piece: what came after the next call was sent, no client could tell from the answer to it.
    """
    whole = await handler(request)
    body = body_of(whole)
    size = whole.headers.get("Content-Length", "0") if request.method == "HEAD" else str(len(body))
    told = {"Content-Length": size, **headers_of(whole)}
    lines = [f"HTTP/1.1 {whole.status} {whole.reason}", *(f"{key}: {value}" for key, value in told.items())]
    once = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    if request.transport is not None:
        request.transport.write(once * 2)
    return _Said(status=whole.status, reason=whole.reason)


async def _sent_twice(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Something between us and the server repeats the request; its first answer is lost."""
    await handler(request)
    return await handler(request)


async def _reset_in_the_body(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    whole = await handler(request)
    if request.method == "HEAD":
        return hang_up(request)
    return await half_of(request, whole)


async def _malformed(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    whole = await handler(request)
    body = body_of(whole)
    return _with(request, whole, body[: len(body) * 2 // 3] or b"{")


async def _wrong_types(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    whole = await handler(request)
    return _with(request, whole, _altered(body_of(whole), wrong))


async def _truncated_lists(_: Striker, request: web.Request, handler: Handler) -> web.StreamResponse:
    whole = await handler(request)
    return _with(request, whole, _altered(body_of(whole), halved))


def _status(status: int, **headers: str) -> Any:
    async def refuse(_: Striker, request: web.Request, __: Handler) -> web.StreamResponse:
        await request.read()
        return web.Response(status=status, headers={key.replace("_", "-"): value for key, value in headers.items()})

    return refuse


FAULTS: dict[str, Any] = {
    "killed before": _killed_before,
    "killed after": _killed_after,
    "reply lost": _reply_lost,
    "reply twice": _reply_twice,
    "sent twice": _sent_twice,
    "reset in the body": _reset_in_the_body,
    "500": _status(500),
    "503, Retry-After": _status(503, Retry_After="7"),
    "429": _status(429),
    "malformed": _malformed,
    "wrong types": _wrong_types,
    "truncated lists": _truncated_lists,
}


def wrong(tree: Any) -> Any:
    """The same document, with values of another type at its leaves."""
    if isinstance(tree, dict):
        return {key: wrong(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [wrong(value) for value in tree]
    return WRONG_TYPES.get(type(tree).__name__, {"?": 1})


def halved(tree: Any) -> Any:
    """The same document, each of its lists without its last half (one element: empty)."""
    if isinstance(tree, dict):
        return {key: halved(value) for key, value in tree.items()}
    return [halved(value) for value in tree[: len(tree) // 2]] if isinstance(tree, list) else tree


def _altered(body: bytes, change: Callable[[Any], Any]) -> bytes:
    """What is no JSON keeps its half."""
    try:
        return json.dumps(change(json.loads(body))).encode()
    except ValueError:
        return body[: len(body) // 2]


def _with(request: web.Request, whole: web.StreamResponse, body: bytes) -> web.Response:
    """The same answer around another body; where there is none, a header is spoiled."""
    headers = headers_of(whole)
    if request.method == "HEAD":
        headers |= {"Content-Length": whole.headers.get("Content-Length", "0"), "Digest": "adler32=?"}
        return web.Response(status=whole.status, reason=whole.reason, headers=headers)
    return web.Response(status=whole.status, reason=whole.reason, headers=headers, body=body)
