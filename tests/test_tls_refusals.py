"""Each client of the tower at servers that must not be believed, and at one that sends it elsewhere in the clear."""

import asyncio
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from act_core.atlas.cric_feed import Source, fetch_cric, queues_of
from act_core.atlas.panda_access import ProxyAccess, TokenAccess
from act_core.atlas.panda_connection import JSON, PandaConnection
from act_core.ce.arc_http import XML, ArcConnection
from act_core.ce.arc_lanes import Lane, Lanes
from act_core.ce.local_runner import opener
from act_core.credentials import oidc
from act_core.credentials.tls import client_context
from act_core.errors import ActError, CredentialError, Transient
from act_core.settings.app_model import Panda
from act_core.settings.policy import Token
from act_core.simulators.pki import TestPki, server_context, write_private
from act_core.simulators.serve import Simulator
from act_core.simulators.token_issuer import unsigned
from act_core.storage.base import Unreachable, Verdict, Wanted, place_of
from act_core.storage.webdav import Bearer, Webdav

SECRET = "the-secret-of-the-client"
HERE, ELSEWHERE = "127.0.0.1", "ce7.example.org"
DAY = timedelta(days=1)
Ask = Callable[[str, "Shown"], Awaitable[object]]


@dataclass(frozen=True)
class Shown:
    """What clients have to show, and whom they believe."""

    ca: Path
    proxy: Path
    token: Path
    place: Path


@dataclass
class Stranger:
    """A server that answers everything alike, and remembers what it was asked."""

    asked: list[str] = field(default_factory=list)
    to: str = ""  # where everybody is sent

    async def answer(self, request: web.Request) -> web.Response:
        said = f"{request.method} {request.path} {dict(request.headers)} {await request.text()}"
        self.asked.append(said)
        headers = {"Location": f"{self.to}{request.path_qs}"} if self.to else {}
        return web.json_response({"Q": {}}, status=307 if self.to else 200, headers=headers)

    def on(self, tls: ssl.SSLContext | None) -> Simulator:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self.answer)
        return Simulator(app, tls=tls)


async def arc(url: str, shown: Shown) -> object:
    wire = ArcConnection(url, shown.ca, shown.proxy, timedelta(seconds=10), 2, 2, token=shown.token)
    try:
        return (await wire.call("GET", "/rest/1.1/jobs", datetime.now(UTC))).status
    finally:
        await wire.close()


async def arc_submission(url: str, shown: Shown) -> object:
    wire = ArcConnection(url, shown.ca, shown.proxy, timedelta(seconds=10), 2, 2, token=shown.token)
    try:
        return (await wire.post_once("/rest/1.1/jobs", datetime.now(UTC), b"<a/>", XML, lambda: False)).status
    finally:
        await wire.close()


async def arc_files(url: str, shown: Shown) -> object:
    wire = ArcConnection(url, shown.ca, shown.proxy, timedelta(seconds=10), 2, 2, token=shown.token)
    lanes = Lanes(wire)

    def listed(lane: Lane) -> int:
        with lane.request("GET", "/rest/1.1/jobs/1/session", {}) as answer:
            return answer.status

    try:
        return await lanes.run(listed, datetime.now(UTC))
    finally:
        lanes.close()
        await wire.close()


async def panda(url: str, shown: Shown) -> object:
    wire = PandaConnection(Panda(server=url, timeout=10), "/api/v1", ProxyAccess(shown.ca, shown.proxy))
    try:
        return await wire.get("system/get_attributes")
    finally:
        await wire.close()


async def panda_jobs(url: str, shown: Shown) -> object:
    wire = PandaConnection(
        Panda(server=url, timeout=10), "/api/v1", TokenAccess(shown.ca, shown.token, "atlas.production")
    )
    try:
        return await wire.post_once("pilot/acquire_jobs", b"{}", JSON)
    finally:
        await wire.close()


async def cric(url: str, shown: Shown) -> object:
    source = Source(f"{url}/api/queues", shown.ca, shown.place / "last.json", shown.proxy)
    return await fetch_cric(source, queues_of, timedelta(seconds=10))


async def issuer(url: str, shown: Shown) -> object:
    token = Token(issuer=url, clientid="robot", clientsecret=SECRET, scopes=("a",), cacert=shown.ca)
    return await oidc.renew(token, shown.place / "made.token", datetime.now(UTC))


async def storage(url: str, shown: Shown) -> object:
    bearer = Bearer(lambda: shown.token.read_text(), (HERE,))
    end = Webdav(lambda: client_context(shown.ca, shown.proxy), bearer=bearer)
    place = place_of(f"{url}/store/x")
    assert place is not None
    try:
        return await end.look(place, Wanted(place.url, 1, "00000001"))
    finally:
        await end.close()


async def local(url: str, shown: Shown) -> object:
    """Inputs and outputs of jobs of the back end for tests and single machines."""
    web_ = opener({"ca_dir": str(shown.ca), "proxy": str(shown.proxy)})
    return await asyncio.to_thread(lambda: web_.open(f"{url}/store/x", timeout=10).read())


CLIENTS: tuple[Ask, ...] = (arc, arc_submission, arc_files, panda, panda_jobs, cric, issuer, storage, local)
REFUSED = (CredentialError, Transient, Unreachable, urllib.error.URLError)


def fresh(pki: TestPki, root: Path, host: str = HERE, lifetime: timedelta = DAY) -> TestPki:
    """The same authority with another host certificate."""
    shutil.copytree(pki.ca_dir, root / "certificates", symlinks=True)
    shutil.copy(pki.root / "ca.key", root)
    made = TestPki(root)
    address = x509.DNSName(host) if host != HERE else x509.IPAddress(ip_address(host))
    made._issued("host", f"/DC=org/DC=act-test/CN={host}", lifetime, [(x509.SubjectAlternativeName([address]), False)])
    return made


def self_signed(pki: TestPki) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.ca_file, pki.root / "ca.key")
    return context


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory, pki: TestPki) -> dict[str, ssl.SSLContext]:
    there = tmp_path_factory.mktemp
    (one, two) = (fresh(pki, there("name"), ELSEWHERE), fresh(pki, there("old"), HERE, -DAY))
    stranger = TestPki(there("stranger"))
    return {
        "another authority": server_context(stranger.host, stranger.ca_dir),
        "another host": server_context(one.host, pki.ca_dir),
        "expired": server_context(two.host, pki.ca_dir),
        "self-signed": self_signed(TestPki(there("self"))),
        "good": server_context(pki.host, pki.ca_dir),
    }


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    _ = made.host
    return made


@pytest.fixture
def shown(pki: TestPki, tmp_path: Path) -> Shown:
    token = tmp_path / "a.token"
    write_private(token, unsigned({"iss": "https://i", "sub": "robot", "exp": 4_000_000_000}).encode())
    return Shown(pki.ca_dir, pki.proxy("robot", path=tmp_path / "proxy.pem"), token, tmp_path)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


@pytest.mark.parametrize("trouble", ["another authority", "another host", "expired", "self-signed"])
@pytest.mark.parametrize("ask", CLIENTS, ids=lambda one: one.__name__)
async def test_a_server_that_is_not_who_it_should_be_hears_nothing(
    ask: Ask, trouble: str, contexts: dict[str, ssl.SSLContext], shown: Shown, stack: AsyncExitStack
) -> None:
    stranger = Stranger()
    server = await stack.enter_async_context(stranger.on(contexts[trouble]))
    with pytest.raises(REFUSED, match=r"(?i)certificate"):
        await ask(server.url, shown)
    assert stranger.asked == []


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda one: one.__name__)
async def test_a_good_server_is_asked(
    ask: Ask, contexts: dict[str, ssl.SSLContext], shown: Shown, stack: AsyncExitStack
) -> None:
    stranger = Stranger()
    server = await stack.enter_async_context(stranger.on(contexts["good"]))
    if ask is issuer:
        with pytest.raises(CredentialError, match="tells no token endpoint"):
            await ask(server.url, shown)
    else:
        await ask(server.url, shown)
    assert len(stranger.asked) == 1


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda one: one.__name__)
async def test_nobody_is_led_from_tls_into_the_clear(
    ask: Ask, contexts: dict[str, ssl.SSLContext], shown: Shown, stack: AsyncExitStack
) -> None:
    door, clear = Stranger(), Stranger()
    plain = await stack.enter_async_context(clear.on(None))
    server = await stack.enter_async_context(door.on(contexts["good"]))
    door.to = plain.url
    try:
        said = await ask(server.url, shown)
    except (ActError, OSError):
        said = None
    assert said in (None, 307) or isinstance(said, Verdict)  # ARC's answer is no 200: each caller looks
    assert len(door.asked) == 1
    assert clear.asked == []


@pytest.mark.parametrize("ask", [panda, issuer, storage], ids=lambda one: one.__name__)
async def test_an_address_in_the_clear_is_not_asked(ask: Ask, shown: Shown, stack: AsyncExitStack) -> None:
    clear = Stranger()
    plain = await stack.enter_async_context(clear.on(None))
    try:
        said = await ask(plain.url, shown)
    except (ActError, ValueError):
        said = None
    assert said is None or isinstance(said, Verdict)
    assert clear.asked == []
