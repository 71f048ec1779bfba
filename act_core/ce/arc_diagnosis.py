"""What stands between us and a job at an A-REX: address, TLS, identity, mapping, version, queue, RTEs, delegation."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from act_core.ce import arc_dialect, host_certificate
from act_core.ce.arc_delegation import Delegations
from act_core.ce.arc_http import ArcConnection, words
from act_core.ce.diagnosis import CONNECT_S, Finding, Verdict, environments_there, reached
from act_core.ce.registry import Place
from act_core.credentials.certificates import read_der
from act_core.credentials.tls import client_context, has_revocations
from act_core.errors import ActError, ConfigError, CredentialError, Transient

SOON_DAYS = 14
PORT = 443
_OK, _BAD = Verdict.OK, Verdict.BAD
Check = Callable[[], Awaitable[Finding]]


@dataclass(slots=True)
class Diagnosis:
    """One walk through the steps. `path`: the base path of the REST version in use."""

    place: Place
    queue: str | None
    wire: ArcConnection
    path: Callable[[], Awaitable[str]]
    delegations: Delegations
    environments: Collection[str] = ()
    who: str = "us"
    document: bytes = b""

    async def steps(self) -> AsyncIterator[Finding]:
        """See :class:`Diagnosable`. What fails makes the later steps senseless, but for queue and RTEs."""
        needed: Mapping[str, Check] = {
            "address": self._address,
            "TLS": self._tls,
            "identity": self._identity,
            "mapping": self._mapping,
            "version": self._version,
        }
        for step, check in needed.items():
            found = await self._done(step, check)
            yield found
            if found.bad:
                return
        for step, check in {"queue": self._queue, "RTEs": self._rtes, "delegation": self._delegation}.items():
            yield await self._done(step, check)

    async def _done(self, step: str, check: Check) -> Finding:
        try:
            return await check()
        except ActError as err:
            return Finding(step, _BAD, str(err), self._remedy(err))

    def _remedy(self, err: ActError) -> str:
        if isinstance(err, CredentialError):
            return "Ask the site to accept our CA, or show the CE another credential."
        if isinstance(err, Transient):
            return "Try again; if it stays so, ask the site."
        return "Is it an A-REX? Its answer is not understood: report it."

    @property
    def _host(self) -> tuple[str, int]:
        parts = urlsplit(self.wire.endpoint)
        return parts.hostname or "", parts.port or PORT

    async def _address(self) -> Finding:
        return await reached(*self._host, self.place.name)

    async def _tls(self) -> Finding:
        try:
            certificate, version = await self._verified()
        except ConfigError as err:
            return Finding("TLS", _BAD, str(err), "Name a directory of CA certificates in voms.cacertdir.")
        except ssl.SSLCertVerificationError as err:
            return await self._not_accepted(err)
        except ValueError as err:
            return Finding("TLS", _BAD, f"its certificate cannot be read: {err}", "The site has to get another one.")
        except (OSError, TimeoutError) as err:
            return Finding("TLS", _BAD, f"no TLS: {words(err)}", "Is it an https port? Ask the site.")
        days = (certificate.not_valid_after_utc - self.place.now()).days
        told = (
            f"{version}, {host_certificate.subject(certificate)}, good until {certificate.not_valid_after_utc:%Y-%m-%d}"
        )
        if days < SOON_DAYS:
            return Finding("TLS", Verdict.ODD, f"{told}: {days} days", "Ask the site to renew its host certificate.")
        return Finding("TLS", _OK, told)

    async def _verified(self) -> tuple[x509.Certificate, str]:
        """Revocations count where the server's authority publishes any."""
        ca = self.place.ca_dir
        if await asyncio.to_thread(has_revocations, ca):
            try:
                return await self._greeted(await asyncio.to_thread(client_context, ca, revocations=True))
            except ssl.SSLCertVerificationError as err:
                if err.verify_code != host_certificate.NO_REVOCATIONS:
                    raise
        return await self._greeted(await asyncio.to_thread(client_context, ca))

    async def _greeted(self, context: ssl.SSLContext) -> tuple[x509.Certificate, str]:
        host, port = self._host
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        tls = writer.get_extra_info("ssl_object")
        writer.close()
        return read_der(tls.getpeercert(binary_form=True)), str(tls.version())

    async def _not_accepted(self, err: ssl.SSLCertVerificationError) -> Finding:
        """Why, and whose certificate it is: it is read on a connection of which nothing else is used."""
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        shown = None
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            shown, _ = await self._greeted(blind)
        place = self.place
        what = err.verify_code, err.verify_message, shown, place.ca_dir, place.name, place.now()
        return Finding("TLS", _BAD, *await asyncio.to_thread(host_certificate.not_accepted, *what))

    async def _identity(self) -> Finding:
        now, told = self.place.now(), []
        try:
            if self.place.proxy is not None:
                held = await self.wire.credential(now)
                self.who = " with ".join((held.subject, *held.roles[:1]))
                told.append(f"{', '.join((held.subject, *held.roles))}, good until {held.expires:%Y-%m-%d %H:%M}Z")
            if token := await self.wire.bearer(now):
                self.who = self.who if told else f"the token of {token.subject}"
                told.append(f"a token of {token.subject}, good until {token.expires:%Y-%m-%d %H:%M}Z")
        except (CredentialError, ConfigError) as err:
            do = "Renew it: `act sweep renew-credentials`, or whoever renews voms.proxypath."
            return Finding("identity", _BAD, str(err), do)
        return Finding("identity", _OK, "; ".join(told))

    async def _mapping(self) -> Finding:
        try:
            answer = await self.wire.call("GET", "/rest", self.place.now())
        except CredentialError as err:
            return Finding("mapping", _BAD, str(err), f"Ask the site to map {self.who}, and to trust its CA.")
        if answer.status == 404:
            why = f"{self.wire.endpoint} answers 404 {answer.reason}"
            return Finding("mapping", _BAD, why, f"sites.{self.place.name}.endpoint ends with /arex as a rule.")
        if answer.status != 200:
            raise Transient(f"{self.wire.endpoint} answers {answer.status} {answer.reason}")
        self.document = answer.body
        return Finding("mapping", _OK, "the CE takes our identity")

    async def _version(self) -> Finding:
        spoken = ", ".join(arc_dialect.versions(self.document)) or "no version"
        base = await self.path()
        return Finding("version", _OK, f"it speaks REST {spoken}; {base.rpartition('/')[2]} is used")

    async def _queue(self) -> Finding:
        answer = await self.wire.call("GET", f"{await self.path()}/info?schema=glue2", self.place.now())
        if answer.status != 200:
            raise Transient(f"{self.wire.endpoint} answers {answer.status} {answer.reason}")
        self.document = answer.body
        said = arc_dialect.capacity(answer.body)
        queues = ", ".join(said.queues) or "none that it tells"
        if self.queue is None:
            return Finding(
                "queue", Verdict.SKIPPED, f"none is configured; there are {queues} (batch system {said.version or '…'})"
            )
        if said.queues and self.queue not in said.queues:
            do = f"Mend sites.{self.place.name}.options.queue."
            return Finding("queue", _BAD, f"there is no queue {self.queue}; there are {queues}", do)
        return Finding("queue", _OK, f"{self.queue} is there (batch system {said.version or '…'})")

    async def _rtes(self) -> Finding:
        there = sorted(set(environments(self.document))) if self.document else []
        return environments_there(self.environments, there)

    async def _delegation(self) -> Finding:
        if self.place.proxy is None:
            return Finding("delegation", Verdict.SKIPPED, "a token only is shown: there is no proxy to delegate")
        try:
            made = await self.delegations.current(self.wire, await self.path(), self.place.now())
        except ActError as err:
            do = "The CE must be able to take delegations: ask the site to look at A-REX's log."
            return Finding("delegation", _BAD, str(err), do)
        return Finding("delegation", _OK, f"the CE holds {made}")


def environments(body: bytes) -> Iterator[str]:
    """The names of the runtime environments of a GLUE2 document; of any of its levels there may be one or many."""
    path = ("Domains", "AdminDomain", "Services", "ComputingService", "ComputingManager")
    found: list[Any] = [arc_dialect.document(body)]
    for name in (*path, "ApplicationEnvironments", "ApplicationEnvironment"):
        found = [inner for one in found if isinstance(one, dict) for inner in arc_dialect.many(one.get(name))]
    for one in found:
        if isinstance(one, dict) and one.get("AppName"):
            version = str(one.get("AppVersion") or "").strip()
            yield f"{one['AppName']}-{version}" if version else str(one["AppName"])
