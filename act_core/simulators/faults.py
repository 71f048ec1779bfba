"""What a simulator does wrong on demand: rules that are set through its control port while it runs."""

import asyncio
import random
import re
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from enum import StrEnum
from itertools import count

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from act_core.simulators.answers import body_of, half_of, hang_up, headers_of

HANG_S = 3600.0  # a hang without `seconds`
MOST_PATTERNS = 1000  # different requests that the statistics tell apart
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST
_IDENTIFIER = re.compile(r"(?=.*\d).{9,}")


class Kind(StrEnum):
    """`ERROR`, `HANG`, `RESET_BEFORE`, `DOWN`: the work is not done. All others do the work and spoil the answer."""

    LATENCY = "latency"  # wait `seconds`, then answer rightly
    ERROR = "error"  # answer `status` with `reason` at once
    HANG = "hang"  # no answer for `seconds`, then the connection is closed
    RESET_BEFORE = "reset_before"  # RST
    ACCEPT_HANGUP = "accept_hangup"  # do the work, close without an answer
    HALF_ANSWER = "half_answer"  # right headers, half of the body, closed
    WRONG_CHECKSUM = "wrong_checksum"  # Digest header and first byte of the body are wrong
    MALFORMED_JSON = "malformed_json"  # the body is cut, its length is right
    EMPTY = "empty"  # no body
    CLOCK = "clock"  # answer rightly, with a `Date` that is `seconds` ahead
    DOWN = "down"  # nobody listens as long as the rule is there: connections are refused


class FaultRule(BaseModel):
    """Which requests are met, how, and how often. A pattern that is not given matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    method: str | None = None  # the whole word, e.g. `POST|PUT`
    path: str | None = None  # searched in path and query string
    action: str | None = None  # the whole value of the query's `action`
    status: int = Field(default=503, ge=400, le=599)
    reason: str | None = None
    seconds: float | None = Field(default=None, ge=0)
    skip: int = Field(default=0, ge=0)  # so many matches go well first
    times: int | None = Field(default=None, ge=1)  # None: for ever
    probability: float = Field(default=1.0, gt=0, le=1)

    @field_validator("method", "path", "action")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as err:
            raise ValueError(f"not a regular expression: {err}") from err
        return pattern

    def matches(self, request: web.Request) -> bool:
        return (
            (self.method is None or re.fullmatch(self.method, request.method) is not None)
            and (self.path is None or re.search(self.path, request.path_qs) is not None)
            and (self.action is None or re.fullmatch(self.action, request.query.get("action", "")) is not None)
        )


_RULES = TypeAdapter(FaultRule | list[FaultRule])


class Faults:
    """The rules of one simulator and the count of its requests.

    `pattern` names a request in the statistics; the default leaves out identifiers. `on_down` is called when a rule of
    kind `down` comes or goes.
    """

    def __init__(self, pattern: Callable[[web.Request], str] | None = None) -> None:
        self._rules: dict[str, FaultRule] = {}
        self._hits: Counter[str] = Counter()
        self._ids = count(1)
        self._pattern = pattern or path_pattern
        self._stats: dict[str, Counter[str]] = defaultdict(Counter)
        self.closing = asyncio.Event()
        self.on_down: Callable[[bool], Awaitable[None]] | None = None

    @property
    def down(self) -> bool:
        return any(rule.kind is Kind.DOWN for rule in self._rules.values())

    async def add(self, *rules: FaultRule) -> list[str]:
        """Their ids."""
        ids = [str(next(self._ids)) for _ in rules]
        self._rules.update(zip(ids, rules, strict=True))
        await self._tell()
        return ids

    async def remove(self, rule: str | None = None) -> int:
        """One rule, or all; how many went."""
        gone = [rule] if rule is not None else list(self._rules)
        removed = sum(self._rules.pop(one, None) is not None for one in gone)
        await self._tell()
        return removed

    async def _tell(self) -> None:
        if self.on_down is not None:
            await self.on_down(self.down)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The first of an application's middlewares."""
        name = f"{request.method} {self._pattern(request)}"
        name = name if name in self._stats or len(self._stats) < MOST_PATTERNS else "other"
        rules = [rule for key, rule in self._rules.items() if self._strikes(key, rule, request)]
        for rule in rules:
            if rule.kind is Kind.LATENCY:
                await self._pause(rule.seconds or 0.0)
        spoil = next((rule for rule in rules if rule.kind is not Kind.LATENCY), None)
        try:
            answer = await (handler(request) if spoil is None else _DEEDS[spoil.kind](self, spoil, request, handler))
        except web.HTTPException as refused:
            self._stats[name][str(refused.status)] += 1
            raise
        self._stats[name][str(answer.status) if spoil is None else spoil.kind] += 1
        return answer

    def _strikes(self, key: str, rule: FaultRule, request: web.Request) -> bool:
        if not rule.matches(request) or (rule.probability < 1 and random.random() >= rule.probability):
            return False
        hits = self._hits[key]
        if rule.times is not None and hits >= rule.skip + rule.times:
            return False
        self._hits[key] += 1
        return hits >= rule.skip

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return

    async def _refuse(self, rule: FaultRule, request: web.Request, _: Handler) -> web.StreamResponse:
        await request.read()
        return web.Response(status=rule.status, reason=rule.reason)

    async def _hang(self, rule: FaultRule, request: web.Request, _: Handler) -> web.StreamResponse:
        await self._pause(HANG_S if rule.seconds is None else rule.seconds)
        return hang_up(request)

    async def _reset(self, _: FaultRule, request: web.Request, __: Handler) -> web.StreamResponse:
        if request.transport is not None:
            plug = request.transport.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            request.transport.abort()
        return web.Response()

    async def _accept_hangup(self, _: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return hang_up(request)

    async def _half(self, _: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _answered(handler, request)
        return await half_of(request, whole)

    async def _spoil(self, rule: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _answered(handler, request)
        body, headers = body_of(whole), headers_of(whole)
        if rule.kind is Kind.EMPTY:
            body = b""
        elif rule.kind is Kind.MALFORMED_JSON:
            body = body[: len(body) * 2 // 3] or b"{"
        else:
            body = bytes([body[0] ^ 1]) + body[1:] if body else body
            headers = {key: _other(value) if key == "Digest" else value for key, value in headers.items()}
        if request.method == "HEAD":
            headers["Content-Length"] = whole.headers.get("Content-Length", "0")
        return web.Response(status=whole.status, reason=whole.reason, headers=headers, body=body)

    async def _shift_clock(self, rule: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _answered(handler, request)
        whole.headers["Date"] = formatdate(time.time() + (rule.seconds or 0.0), usegmt=True)
        return whole

    def routes(self) -> list[web.RouteDef]:
        """For the control port."""
        return [
            web.get("/faults", self._list),
            web.post("/faults", self._post),
            web.delete("/faults", self._delete),
            web.delete("/faults/{id}", self._delete),
            web.get("/stats", self._show_stats),
            web.delete("/stats", self._reset_stats),
        ]

    async def _list(self, _: web.Request) -> web.Response:
        """Each rule with its id and how many requests it has met."""
        rules = [
            {"id": key, "hits": max(0, self._hits[key] - rule.skip), **rule.model_dump(mode="json", exclude_none=True)}
            for key, rule in self._rules.items()
        ]
        return web.json_response({"faults": rules})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            given = _RULES.validate_json(await request.read())
        except ValidationError as err:
            return web.json_response({"error": str(err)}, status=400)
        return web.json_response({"ids": await self.add(*(given if isinstance(given, list) else [given]))}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        return web.json_response({"removed": await self.remove(request.match_info.get("id"))})

    async def _show_stats(self, _: web.Request) -> web.Response:
        """Numbers of answers by request and by status (or kind of fault)."""
        return web.json_response({"requests": {name: dict(answers) for name, answers in self._stats.items()}})

    async def _reset_stats(self, _: web.Request) -> web.Response:
        self._stats.clear()
        return web.json_response({})


_Deed = Callable[[Faults, FaultRule, web.Request, Handler], Awaitable[web.StreamResponse]]
_DEEDS: dict[Kind, _Deed] = {
    Kind.ERROR: Faults._refuse,
    Kind.HANG: Faults._hang,
    Kind.RESET_BEFORE: Faults._reset,
    Kind.DOWN: Faults._reset,
    Kind.ACCEPT_HANGUP: Faults._accept_hangup,
    Kind.HALF_ANSWER: Faults._half,
    Kind.WRONG_CHECKSUM: Faults._spoil,
    Kind.MALFORMED_JSON: Faults._spoil,
    Kind.EMPTY: Faults._spoil,
    Kind.CLOCK: Faults._shift_clock,
}


def path_pattern(request: web.Request) -> str:
    """The path with `*` for each segment that looks like an identifier, and the query's action."""
    segments = ("*" if _IDENTIFIER.fullmatch(segment) else segment for segment in request.path.split("/"))
    action = request.query.get("action")
    return "/".join(segments) + (f"?action={action}" if action else "")


async def _answered(handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refused:
        return web.Response(status=refused.status, reason=refused.reason, body=refused.body)


def _other(digest: str) -> str:
    """Every value gets another first digit, so that it keeps its form."""
    parts: Sequence[str] = digest.split(",")
    swapped = (
        (name, ("1" if value[:1] == "0" else "0") + value[1:]) for name, _, value in (p.partition("=") for p in parts)
    )
    return ",".join(f"{name}={value}" for name, value in swapped)
