"""Tokens by client credentials, from an issuer on this machine."""

import stat
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from act_core.credentials.oidc import renew
from act_core.credentials.tokens import load_token
from act_core.credentials.values import Bearer
from act_core.errors import CredentialError, Transient
from act_core.settings.policy import Token
from act_core.simulators.pki import TestPki, server_context, write_private
from act_core.simulators.serve import Simulator
from act_core.simulators.token_issuer import Issuer, serve_issuer

SECRET = "s/e+c:r et"
SCOPES = ("compute.read", "compute.create")


@dataclass
class Desk:
    """An issuer, and a client of it."""

    issuer: Issuer
    server: Simulator
    token: Token
    place: Path

    async def renew(self, **changed: Any) -> Bearer:
        return await renew(self.token.model_copy(update=changed), self.place, datetime.now(UTC))


@pytest.fixture
async def desk(pki: TestPki, tmp_path: Path) -> AsyncIterator[Desk]:
    issuer = Issuer({"robot id": SECRET})
    async with serve_issuer(issuer, pki.root) as server:
        token = Token(
            issuer=server.url, clientid="robot id", clientsecret=SECRET, scopes=SCOPES, audience="ce", cacert=pki.ca_dir
        )
        yield Desk(issuer, server, token, tmp_path / "store" / "site.token")


@pytest.mark.parametrize("basic", [True, False], ids=["the secret in a header", "the secret in the form"])
async def test_a_token_in_its_place(desk: Desk, basic: bool) -> None:
    desk.issuer.basic = basic
    made = await desk.renew()
    assert load_token(desk.place, datetime.now(UTC)) == made
    assert (made.subject, made.scopes, made.audience) == (f"{desk.server.url}/robot id", SCOPES, ("ce",))
    assert timedelta(minutes=58) < made.expires - datetime.now(UTC) < timedelta(minutes=61)
    assert stat.S_IMODE(desk.place.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.place.parent.stat().st_mode) == 0o700
    (form,) = desk.issuer.asked
    assert form["scope"] == " ".join(SCOPES)


async def test_the_secret_in_a_file(desk: Desk, tmp_path: Path) -> None:
    write_private(tmp_path / "secret", b"filed\n")
    desk.issuer.clients = {"robot id": "filed"}
    assert (await desk.renew(clientsecret=None, clientsecretfile=tmp_path / "secret")).subject.endswith("/robot id")
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(CredentialError, match="can be read by others"):
        await desk.renew(clientsecret=None, clientsecretfile=tmp_path / "secret")


@pytest.mark.parametrize(
    ("claims", "described", "words"),
    [
        pytest.param({"scope": "compute.read"}, {}, "is not used: it lacks the scopes compute.create", id="a scope"),
        pytest.param({"aud": "other"}, {}, "its audience is other, not ce", id="another audience"),
        pytest.param({"exp": 5}, {}, "it has ended already", id="ended"),
        pytest.param({}, {"issuer": "https://else"}, "says that it is https://else", id="another issuer"),
        pytest.param({}, {"token_endpoint": "http://x/"}, r"tells no token endpoint \(https\)", id="in the clear"),
        pytest.param({}, {"token_endpoint": f"https://{'a' * 70}/"}, "an address that is none: ", id="a name too long"),
        pytest.param({}, {"token_endpoint": "https://["}, "an address that is none: ", id="half an address"),
        pytest.param({}, {"token_endpoint": None}, "tells no token endpoint", id="no endpoint"),
    ],
)
async def test_what_is_not_used(desk: Desk, claims: dict[str, Any], described: dict[str, Any], words: str) -> None:
    await desk.renew()
    before = desk.place.read_bytes()
    desk.issuer.claims, desk.issuer.described = claims, described
    with pytest.raises(CredentialError, match=words):
        await desk.renew()
    assert desk.place.read_bytes() == before


async def test_a_wrong_secret_is_told_without_it(desk: Desk) -> None:
    desk.issuer.clients = {}
    with pytest.raises(CredentialError, match="gives no token: 401: invalid_client: Bad client") as told:
        await desk.renew()
    assert SECRET not in str(told.value)
    assert not desk.place.exists()


async def test_who_it_is_is_verified(desk: Desk) -> None:
    with pytest.raises(CredentialError, match="its certificate is not accepted"):
        await desk.renew(cacert=None)  # the system's authorities do not know the test CA


async def test_an_issuer_that_is_away(desk: Desk) -> None:
    await desk.server.stop()
    with pytest.raises(Transient, match=desk.server.url):
        await desk.renew()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        pytest.param({}, "one of `file`", id="nothing"),
        pytest.param({"file": "/t", "issuer": "https://i"}, "one of `file`", id="both"),
        pytest.param({"issuer": "http://i", "clientid": "c", "clientsecret": "s"}, "https address", id="in the clear"),
        pytest.param({"issuer": "https://i", "clientid": "c"}, "an issuer wants", id="no secret"),
        pytest.param({"issuer": "https://i", "clientsecret": "s"}, "an issuer wants", id="no client"),
    ],
)
def test_what_can_be_configured(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Token(**keys)


@pytest.fixture
async def odd(desk: Desk, pki: TestPki) -> AsyncIterator[dict[str, web.Response]]:
    """A token endpoint that gives one answer, whatever it is asked; a secret that it quotes."""
    answers: dict[str, web.Response] = {}

    async def answer(_request: web.Request) -> web.Response:
        return answers["token"]

    app = web.Application()
    app.router.add_post("/token", answer)
    async with Simulator(app, tls=server_context(pki.host, pki.ca_dir)) as server:
        desk.issuer.described = {"token_endpoint": f"{server.url.replace('127.0.0.1', 'localhost')}/token"}
        yield answers


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param({"status": 200, "text": "<html>log in</html>"}, "answers 200, and no JSON object", id="HTML"),
        pytest.param({"status": 302, "headers": {"Location": "http://x/"}}, "answers 302, and no JSON", id="redirect"),
        pytest.param({"status": 200, "body": b" " * 300_000}, "answers more than 262144 bytes", id="endless"),
        pytest.param({"status": 200, "text": '{"access_token": "a b"}'}, "no JSON web token", id="no token"),
        pytest.param(
            {"status": 400, "text": f'{{"error": "bad {SECRET}"}}'}, "gives no token: 400: bad …", id="quoted"
        ),
    ],
)
async def test_odd_answers(desk: Desk, odd: dict[str, web.Response], answer: dict[str, Any], words: str) -> None:
    odd["token"] = web.Response(**answer)
    with pytest.raises(CredentialError, match=words) as told:
        await desk.renew()
    assert SECRET not in "".join(traceback.format_exception(told.value))
    assert not desk.place.exists()
