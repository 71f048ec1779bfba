"""What is shown to a CE: proxy, token or both; and what is believed of it: authorities and their revocations."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from act_core.ce.arc_rest import ArcCe
from act_core.ce.registry import open_ce
from act_core.credentials.tls import client_context
from act_core.credentials.tokens import read_token
from act_core.errors import ConfigError, CredentialError, Transient
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Token, Voms
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki, write_private
from tests.ce.arc_house import ALICE, TRUE, Builder, House, opened, submitted, utc
from tests.credentials.jwts import jwt

HOUR = timedelta(hours=1)
ISSUER = "https://issuer.example"
ISSUERS = frozenset({ISSUER})


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return _written(tmp_path / "robot.token", 6)


def _written(file: Path, hours: float, sub: str = "robot") -> Path:
    write_private(file, jwt(iss=ISSUER, sub=sub, exp=utc() + hours * HOUR))
    return file


def _client(
    house: House, token: Path, shown: str = "token", now: Callable[[], datetime] = utc, proxy: Path | None = None
) -> ArcCe:
    voms = Voms(proxypath=proxy or house.pki.root / "proxy.pem", cacertdir=house.pki.ca_dir)
    settings = Settings(state_dir=house.state, arc=ArcSettings(voms=voms, tokens={"t": Token(file=token)}))
    site = Site.model_validate({"endpoint": f"{house.simulator.url}/arex", "credential": shown, "token": "t"})
    ce = open_ce(settings, "ce", now, site)
    assert isinstance(ce, ArcCe)
    house.stack.push_async_callback(ce.close)
    return ce


async def _owners(house: House) -> set[str]:
    return {job["owner"] for job in await house.jobs()}


@pytest.mark.parametrize(
    ("shown", "owner"),
    [("token", f"{ISSUER}/robot"), ("both", ALICE), ("proxy", ALICE)],
    ids=["token", "both", "proxy"],
)
async def test_as_whom_jobs_are_submitted(build: Builder, token: Path, shown: str, owner: str) -> None:
    house = await build(issuers=ISSUERS)
    await submitted(_client(house, token, shown), TRUE)
    assert await _owners(house) == {owner}


async def test_a_new_token_is_used_at_once_and_an_ended_one_not_at_all(build: Builder, token: Path) -> None:
    house, clock = await build(issuers=ISSUERS), [utc()]
    ce = _client(house, token, now=lambda: clock[0])
    await submitted(ce, TRUE)
    _written(token, 6, sub="other")
    await submitted(ce, TRUE)
    assert await _owners(house) == {f"{ISSUER}/robot", f"{ISSUER}/other"}
    clock[0] += 7 * HOUR
    with pytest.raises(CredentialError, match=r"robot\.token has expired: renew it"):
        await ce.capacity()


async def test_a_token_that_is_not_believed(build: Builder, token: Path) -> None:
    house = await build()
    with pytest.raises(CredentialError, match=f"refuses the token of {ISSUER}/robot"):
        await _client(house, token).capacity()


async def test_jobs_get_a_delegation_of_the_token(build: Builder, token: Path) -> None:
    """One serves until the token is renewed; the next jobs get another, as there is no call that renews one."""
    house = await build(issuers=ISSUERS)
    ce = _client(house, token)
    await submitted(ce, TRUE)
    await submitted(_client(house, token), TRUE)
    assert await house.asked("delegations?action=new") == 1
    _written(token, 8)
    await submitted(ce, TRUE)
    assert await house.asked("delegations?action=new") == 2
    assert await house.asked("action=renew") == 0
    (kept,) = (house.state / "delegations").iterdir()
    assert {one["kind"] for one in json.loads(kept.read_text())["held"]} == {"jwt"}
    assert read_token(token) not in kept.read_text()


async def test_an_older_ce_takes_no_token_for_transfers(build: Builder, token: Path) -> None:
    house = await build(Flavour.V6, issuers=ISSUERS)
    with pytest.raises(ConfigError, match=r"speaks REST 1\.0, which takes no token .* `credential: both`"):
        await submitted(_client(house, token), TRUE)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        pytest.param({"credential": "token"}, "sites.ce.token: name one of `tokens`", id="no name"),
        pytest.param({"credential": "both", "token": "x"}, "no token 'x' in `tokens`; there are: t", id="another name"),
    ],
)
def test_a_token_that_is_not_configured(tmp_path: Path, site: dict[str, str], words: str) -> None:
    arc = ArcSettings(tokens={"t": Token(file=tmp_path / "t")})
    with pytest.raises(ConfigError) as told:
        open_ce(
            Settings(state_dir=tmp_path, arc=arc), "ce", utc, Site.model_validate({"endpoint": "https://x", **site})
        )
    assert words in str(told.value)


class Guarded:
    """A CE whose CA directory is this test's own, and a client whose clock can be put forward."""

    def __init__(self, house: House, pki: TestPki, ce: ArcCe, clock: list[datetime]) -> None:
        self.house, self.pki, self.ce, self._clock = house, pki, ce, clock

    async def later(self) -> Any:
        """A call after the next look at the directory."""
        self._clock[0] += timedelta(minutes=2)
        return await self.ce.capacity()


@pytest.fixture
async def guarded(tmp_path: Path, build: Builder) -> Guarded:
    pki = TestPki(tmp_path / "pki")
    pki.proxy("alice", path=pki.root / "proxy.pem")
    own = Builder(pki, tmp_path, build._stack)
    house, clock = await own(), [utc()]
    ce = opened(f"{house.simulator.url}/arex", pki, house.state, lambda: clock[0])
    house.stack.push_async_callback(ce.close)
    await ce.capacity()
    return Guarded(house, pki, ce, clock)


async def test_a_revoked_server_is_left_within_a_minute(guarded: Guarded) -> None:
    guarded.pki.revoke()
    await guarded.later()
    guarded.pki.revoke(guarded.pki.host.certificate)
    await guarded.ce.capacity()  # the directory was looked at a moment ago
    with pytest.raises(CredentialError, match=r"certificate is not accepted.*revoked"):
        await guarded.later()
    guarded.pki.revoke()
    await guarded.later()


async def test_an_ended_list_of_revocations_stops_everything(guarded: Guarded) -> None:
    guarded.pki.revoke(lifetime=-HOUR)
    with pytest.raises(CredentialError, match=r"CRL has expired.* of this machine, not of the CE: fetch-crl must run"):
        await guarded.later()


async def test_an_ended_list_of_another_authority_stops_nothing(guarded: Guarded) -> None:
    other = TestPki(guarded.pki.root / "other")
    (guarded.pki.ca_dir / "0badcafe.0").write_bytes(other.ca_file.read_bytes())
    (guarded.pki.ca_dir / "0badcafe.r0").write_bytes(other.revoke(lifetime=-HOUR).read_bytes())
    await guarded.later()


async def test_a_ce_that_was_away_when_it_was_asked_for_revocations(guarded: Guarded) -> None:
    """What nobody could tell then is found out once the CE is back, not when the proxy or the directory changes."""
    other = TestPki(guarded.pki.root / "other")
    (guarded.pki.ca_dir / "0badcafe.r0").write_bytes(other.revoke().read_bytes())
    sessions = guarded.ce._wire.sessions
    there, sessions._url = sessions._url, URL("https://127.0.0.1:1/arex")
    sessions.doubt()
    await sessions.credential(utc())  # opened, while nobody answers there
    sessions._url = there
    with pytest.raises(Transient, match="publishes no revocations"):
        await guarded.ce.capacity()
    await guarded.ce.capacity()


async def test_an_authority_without_a_list_is_believed_beside_one_that_has_one(guarded: Guarded) -> None:
    other = TestPki(guarded.pki.root / "other")
    (guarded.pki.ca_dir / "0badcafe.r0").write_bytes(other.revoke().read_bytes())
    await guarded.later()


async def test_an_authority_that_is_no_longer_believed(guarded: Guarded) -> None:
    for one in guarded.pki.ca_dir.glob("*.0"):
        one.unlink()
    with pytest.raises(CredentialError, match="certificate is not accepted"):
        await guarded.later()


async def test_an_unchanged_directory_changes_nothing(guarded: Guarded) -> None:
    session = guarded.ce._wire.sessions._session
    await guarded.later()
    assert guarded.ce._wire.sessions._session is session


def test_nothing_is_checked_where_there_is_nothing(pki: TestPki) -> None:
    assert client_context(pki.ca_dir).verify_flags & 4 == 0
    assert client_context(pki.ca_dir, revocations=True).verify_flags & 4 == 4
