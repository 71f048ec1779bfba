"""The connection to an A-REX: verified TLS, deadlines on everything, errors as verdicts."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
from httptools import HttpParserError
from yarl import URL

from act_core import meters
from act_core.ce.arc_line import CONNECT_S, hurry
from act_core.ce.arc_session import NO_REVOCATIONS, Sessions
from act_core.credentials.values import Bearer, Credential
from act_core.errors import ActError, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.words import clean

LARGEST_ANSWER = 128 * 1024 * 1024  # bytes, of a document
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
XML = {"Accept": "application/json", "Content-Type": "application/xml"}
_PLACES = {"jobs", "info", "delegations", "session", "diagnose"}
_ACTION = re.compile(r"action=[a-z]+")
_BUSY = {429, 502, 503, 504}
_OUTDATED = 12  # X509_V_ERR_CRL_HAS_EXPIRED
_ERRORS = (aiohttp.ClientError, ssl.SSLError, OSError, TimeoutError)
_NOT_HTTP = (aiohttp.ClientResponseError, HttpParserError)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole. The CE's words of error stand in `reason`."""

    status: int
    reason: str
    body: bytes
    headers: Mapping[str, str]


class ArcConnection:
    """Requests to one endpoint, as whom the proxy, the token or both say. Belongs to one event loop."""

    def __init__(
        self,
        endpoint: str,
        ca: Path,
        proxy: Path | None,
        deadline: timedelta,
        calls: int,
        transfers: int,
        token: Path | None = None,
        name: str = "",
    ) -> None:
        self.endpoint, self.proxy = endpoint.rstrip("/"), proxy
        self.name = name or endpoint  # in what is measured
        self.seconds = deadline.total_seconds()
        self.transfers = transfers
        self._calls = asyncio.Semaphore(calls)
        quick = aiohttp.ClientTimeout(total=self.seconds, sock_connect=CONNECT_S)
        self.sessions = Sessions(self.endpoint, ca, proxy, token, calls, quick)
        self.answers = 0  # the CE's own word, not that it has trouble
        self.base = ""  # path of the REST version in use; empty: not asked yet

    async def credential(self, now: datetime) -> Credential:
        """Raises CredentialError for a proxy that is missing, open to others, or expired."""
        return await self.sessions.credential(now)

    async def bearer(self, now: datetime) -> Bearer | None:
        """The token that is shown beside or instead of a proxy. Raises CredentialError alike."""
        return await self.sessions.bearer(now)

    def heard(self, status: int, reason: str) -> None:
        """Count an answer. Raises for one that says the same to every job: CredentialError, Transient."""
        self.answers += status < 500
        if status == 404 and "Version" in reason:
            self.base = ""  # another release of the CE: the next call asks what it speaks
            raise Transient(f"{self.endpoint} answers 404 {reason}")
        if status == 403:
            raise CredentialError(f"{self.endpoint} refuses {self.sessions.who}: {reason}")

    def refuse_busy(self, status: int, reason: str, after: str | None) -> None:
        """Raises Transient for an answer that asks for patience; `after`: its Retry-After."""
        if status in _BUSY:
            again = f", to be asked again after {after[:40]}" if after else ""
            raise Transient(f"{self.endpoint} answers {status} {reason}{again}")

    def verdict(self, err: BaseException) -> CredentialError | ProtocolError | Transient:
        """What an error of a connection means."""
        if isinstance(err, aiohttp.ClientConnectorCertificateError):
            return self._not_believed(err.certificate_error)
        if isinstance(err, ssl.SSLCertVerificationError):
            return self._not_believed(err)
        if _certificate_refused(err):
            return CredentialError(f"{self.endpoint} does not accept the certificates of {self.proxy}: {words(err)}")
        if isinstance(err, _NOT_HTTP):
            return ProtocolError(f"{self.endpoint} does not speak HTTP: {words(err)}")
        return Transient(f"{self.endpoint}: {words(err)}")

    def _not_believed(self, err: Exception) -> CredentialError | Transient:
        code = getattr(err, "verify_code", 0)
        if code == NO_REVOCATIONS:  # nobody answered when the session was opened, and so nobody could tell
            self.sessions.doubt()
            return Transient(f"{self.endpoint}: its authority publishes no revocations: asked again without")
        why = f"{self.endpoint}: its certificate is not accepted: {err}"
        if code == _OUTDATED:
            return CredentialError(
                f"{why}. That is of this machine, not of the CE: fetch-crl must run (voms.cacertdir)"
            )
        return CredentialError(why)

    async def call(
        self, method: str, path: str, now: datetime, data: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> Answer:
        """An answer, read whole. Raises Transient, CredentialError, ProtocolError."""
        url = URL(f"{self.endpoint}{path}", encoded=True)
        own = {**headers, **await self.sessions.headers(now)}
        async with self._calls:
            with meters.ce_call(self.name, what(method, path)) as call:
                try:
                    async with (
                        self.sessions.using(now) as held,
                        held.client.request(method, url, data=data, headers=own, allow_redirects=False) as answer,
                    ):
                        call.answered(answer.status)
                        reason = clean(answer.reason or "")
                        self.heard(answer.status, reason)
                        self.refuse_busy(answer.status, reason, answer.headers.get("Retry-After"))
                        return await _answer(answer, reason)
                except _ERRORS as err:
                    raise self.verdict(err) from err

    async def post_once(
        self, path: str, now: datetime, data: bytes, headers: Mapping[str, str], late: Callable[[], bool]
    ) -> Answer:
        """A POST that must not be repeated; `late` is asked at the moment of writing, and nothing leaves if it is so.

        Raises OutcomeUnknown once the request may have left, else Transient, CredentialError, ProtocolError.
        """
        url = URL(f"{self.endpoint}{path}", encoded=True)
        sent = _Sent(data, late)
        own = {**headers, **await self.sessions.headers(now), "Content-Length": str(len(data))}
        async with self._calls:
            with meters.ce_call(self.name, what("POST", path)) as call:
                try:
                    async with (
                        self.sessions.using(now) as held,
                        held.client.post(url, data=sent.stream(), headers=own, allow_redirects=False) as answer,
                    ):
                        call.answered(answer.status)
                        reason = clean(answer.reason or "")
                        self.heard(answer.status, reason)
                        return await _answer(answer, reason)
                except _ERRORS as err:
                    raise self._lost(err, sent) from err

    def _lost(self, err: BaseException, sent: "_Sent") -> ActError:
        verdict = self.verdict(err)
        if sent.begun and not isinstance(verdict, CredentialError):
            return OutcomeUnknown(f"{verdict} after the request had left")
        return Transient("the send deadline has passed") if sent.too_late else verdict

    async def close(self) -> None:
        await self.sessions.close()


class _Sent:
    """A body that knows whether it was asked for: nothing of it leaves before."""

    def __init__(self, data: bytes, late: Callable[[], bool]) -> None:
        self._data, self._late = data, late
        self.begun = self.too_late = False

    async def stream(self) -> AsyncIterator[bytes]:
        if self._late():
            self.too_late = True
            raise TimeoutError("the send deadline has passed")
        self.begun = True
        yield self._data


def what(method: str, path: str) -> str:
    """A request without what differs from job to job: `POST jobs?action=kill`, `GET session`."""
    where, _, query = path.partition("?")
    parts = where.split("/")[3:]  # after /rest/1.0
    place = parts[2] if len(parts) > 2 and parts[0] == "jobs" else parts[0] if parts else ""
    action = _ACTION.search(query)
    return f"{method} {place if place in _PLACES else 'rest'}{f'?{action[0]}' if action else ''}"


async def _answer(answer: aiohttp.ClientResponse, reason: str) -> Answer:
    transport = answer.connection.transport if answer.connection else None
    hurry(transport.get_extra_info("socket") if transport else None)
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 18):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ProtocolError(f"{answer.url.host} sends more than {LARGEST_ANSWER} bytes")
    return Answer(answer.status, reason, bytes(body), answer.headers)


def _certificate_refused(err: BaseException) -> bool:
    """Whether the server ended the handshake because of our certificate; with TLS 1.3 that shows after it."""
    said = str(err).upper().replace(" ", "_")
    return "ALERT" in said and ("CERTIFICATE" in said or "UNKNOWN_CA" in said)


def words(err: BaseException) -> str:
    """What went wrong, short."""
    if isinstance(err, TimeoutError):
        return "no answer in time"
    return f"{type(err).__name__}: {err}".removesuffix(": ")[:300]
