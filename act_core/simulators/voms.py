"""A VOMS server: who shows a proxy of a member gets an attribute certificate with the roles that it asks for."""

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from cryptography import x509

from act_core.simulators.pki import TestPki, server_context, split_pem
from act_core.simulators.serve import HOST
from act_core.simulators.voms_ac import attribute_certificate
from act_core.simulators.x509_names import end_entity_dn_of, slash_form

LONGEST = timedelta(hours=96)
PATIENCE_S = 10.0
_HEAD = 64 * 1024  # bytes of a request


@dataclass(frozen=True)
class VomsOptions:
    """`members`: the roles (FQANs) of each user of the test CA. `longest`: no answer lives longer."""

    pki: Path
    vo: str
    members: Mapping[str, tuple[str, ...]]
    longest: timedelta = LONGEST
    port: int = 0


class VomsServer:
    """`GET /generate-ac?fqans=…&lifetime=…`, as arcproxy and voms-proxy-init ask it. An asynchronous context manager.

    No HTTP library would do: voms-proxy-init begins its request with a `0` of older days, and ends lines as Unix does.
    `asked`: the queries, in their order. `silent`: it takes connections and does not answer.
    """

    def __init__(self, options: VomsOptions) -> None:
        self.options = options
        self.asked: list[str] = []
        self.silent = False
        self._pki = TestPki(options.pki)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1]) if self._server else self.options.port

    async def __aenter__(self) -> Self:
        tls = server_context(self._pki.host, self._pki.ca_dir)
        self._server = await asyncio.start_server(self._serve, HOST, self.options.port, ssl=tls, limit=_HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_S):
                line = (await reader.readline()).decode("ascii")
                while (await reader.readline()).strip():
                    pass
                if self.silent:
                    await reader.read()
                else:
                    tls = writer.get_extra_info("ssl_object")
                    writer.write(self._answer(line, tls.getpeercert(binary_form=True)))
                    await writer.drain()
        writer.close()

    def _answer(self, line: str, certificate: bytes | None) -> bytes:
        path = urlsplit(line.removeprefix("0").split()[1])
        if path.path != "/generate-ac":
            return _http(404, "Not Found", "")
        self.asked.append(path.query)
        dn = end_entity_dn_of(certificate) if certificate else ""
        name = next((one for one in self.options.members if self._pki.user(one).dn == dn), None)
        if name is None:
            return _refusal("NoSuchUser", f"{dn or 'nobody'} is no member of {self.options.vo}")
        return self._granted(name, parse_qs(path.query))

    def _granted(self, name: str, query: Mapping[str, list[str]]) -> bytes:
        may = (f"/{self.options.vo}", *self.options.members[name])
        wanted = [one for one in query.get("fqans", [may[0]])[0].split(",") if one]
        if missing := [one for one in wanted if one not in may]:
            return _refusal("NoSuchAttribute", f"no right to {missing[0]}")
        lifetime = min(timedelta(seconds=int(query.get("lifetime", ["43200"])[0])), self.options.longest)
        groups = [one for one in may if "/Role=" not in one and one not in wanted]
        holder = x509.load_pem_x509_certificate(self._pki.user(name).certificate.read_bytes())
        uri = f"localhost:{self.port}"
        made = attribute_certificate(self._pki.voms, holder, [*wanted, *groups], lifetime, uri)
        # in lines: without their ends clients take it for an encoding of VOMS's own
        return _http(200, "OK", f"<voms><ac>{base64.encodebytes(made).decode()}</ac></voms>")


def _refusal(code: str, words: str) -> bytes:
    said = f"<voms><error><code>{code}</code><message>{escape(words)}</message></error></voms>"
    return _http(403, "Forbidden", said)


def _http(status: int, reason: str, said: str) -> bytes:
    body = f'<?xml version="1.0" encoding="US-ASCII"?>{said}'  # voms-proxy-init looks for its beginning
    head = (
        f"HTTP/1.1 {status} {reason}",
        "Content-Type: text/xml",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join([*head, "", body]).encode()


def client_files(pki: TestPki, vo: str, port: int, below: Path) -> tuple[Path, Path]:
    """What VOMS clients are configured with: the file `vomses`, and the directory `vomsdir` of servers to believe."""
    vomses, vomsdir = below / "vomses", below / "vomsdir"
    vomses.write_text(f'"{vo}" "localhost" "{port}" "{pki.host.dn}" "{vo}"\n')
    vomses.chmod(0o644)
    (vomsdir / vo).mkdir(parents=True, exist_ok=True)
    authority = x509.load_pem_x509_certificate(split_pem(pki.ca_file.read_bytes())[0])
    (vomsdir / vo / "localhost.lsc").write_text(f"{pki.host.dn}\n{slash_form(authority.subject)}\n")
    return vomses, vomsdir
