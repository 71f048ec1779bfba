"""What is written down of credentials, what the tower makes anew itself, and what is told when that fails."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.credentials import voms_client
from act_core.credentials.places import made_proxy
from act_core.db import credentials
from act_core.db.policy_models import CredentialRow
from act_core.engine import credentials as step
from act_core.errors import ConfigError, CredentialError
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Token, Voms
from act_core.simulators.pki import TestPki, write_private
from act_core.simulators.token_issuer import Issuer, serve_issuer
from tests.credentials.jwts import jwt
from tests.engine.house import House

HOUR = timedelta(hours=1)
PILOT = "atlas-pilot"
STAND_IN = """\
#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/asked"
while [ $# -gt 0 ]; do case "$1" in -P) out=$2 ;; -S) fqan=${2##*=} ;; esac; shift; done
cp "$here/$fqan.pem" "$out"
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


def _with(rt: Runtime, voms: Voms, tokens: dict[str, Token] | None = None, *proxies: Path) -> None:
    """The same runtime under a configuration that names these."""
    sites = {f"ce{number}": Site(kind="local", proxy=path) for number, path in enumerate(proxies)}
    arc = rt.settings.arc.model_copy(update={"voms": voms, "sites": sites, "tokens": tokens or {}})
    rt.settings = rt.settings.model_copy(update={"arc": arc})


async def _row(rt: Runtime, path: Path) -> CredentialRow:
    row = await rt.read(credentials.row, path)
    assert row is not None
    return row


def test_each_file_is_looked_at_once(tmp_path: Path) -> None:
    one, two, token = tmp_path / "one", tmp_path / "two", tmp_path / "token"
    settings = Settings(state_dir=tmp_path)
    assert step.proxy_files(settings) == step.token_files(settings) == ()
    sites = {"a": Site(proxy=one), "b": Site(proxy=two), "c": Site()}
    tokens = {"x": Token(file=token), "y": Token(file=token)}
    arc = settings.arc.model_copy(update={"voms": Voms(proxypath=one), "sites": sites, "tokens": tokens})
    named = settings.model_copy(update={"arc": arc})
    assert step.proxy_files(named) == (one, two)
    assert step.token_files(named) == (token,)


def test_a_token_that_is_named_as_the_vo_is(tmp_path: Path) -> None:
    token = Token(issuer="https://i", clientid="c", clientsecret="s")
    arc = ArcSettings(voms=Voms(vo="atlas", proxypath=tmp_path), tokens={"atlas": token, "b": token})
    found = step.made(Settings(state_dir=tmp_path, arc=arc))
    assert {name: one.kind for name, one in found.items()} == {
        "atlas": "x509-proxy",
        "atlas.token": "token",
        "b": "token",
    }


async def test_what_others_renew_is_written_down(house: House, pki: TestPki, tmp_path: Path) -> None:
    long = pki.proxy("long", 72 * HOUR, path=tmp_path / "long.pem", roles=["/atlas/Role=pilot", "/atlas"])
    short, token = pki.proxy("short", 5 * HOUR, path=tmp_path / "short.pem"), tmp_path / "robot.token"
    write_private(token, jwt(iss="https://i", sub="robot", exp=house.now() + 3 * HOUR, scope="a b"))
    _with(house, Voms(proxypath=long), {"robot": Token(file=token)}, short)
    assert await step.look(house, step.FILES) == {"good proxies": 2, "ending within a day": 1, "good tokens": 1}
    found = [(row.path, row.subject, row.roles) for row in await house.read(credentials.known)]
    assert found == [
        (str(token), "https://i/robot", "a b"),
        (str(short), pki.user("short").dn, ""),
        (str(long), pki.user("long").dn, "/atlas/Role=pilot /atlas"),
    ]
    assert (await _row(house, short)).renewed_at is None
    pki.proxy("short", 90 * HOUR, path=short)
    assert await step.look(house, step.FILES) == {"good proxies": 2, "good tokens": 1}
    assert (await _row(house, short)).renewed_at is not None  # by somebody else


async def test_a_bad_one_is_named_and_the_others_are_still_read(house: House, pki: TestPki, tmp_path: Path) -> None:
    expired, absent = pki.proxy("late", -HOUR), tmp_path / "absent.pem"
    good = pki.proxy("good", path=tmp_path / "good.pem")
    _with(house, Voms(proxypath=expired), {"t": Token(file=tmp_path / "no.token")}, absent, good)
    with pytest.raises(CredentialError, match=r"proxy-late\.pem expired.*absent\.pem.*no\.token"):
        await step.look(house, step.FILES)
    troubles = {Path(row.path).name: row.trouble for row in await house.read(credentials.known)}
    assert troubles["good.pem"] is None
    assert "expired" in str(troubles["proxy-late.pem"])
    assert "No such file" in str(troubles["absent.pem"])
    pki.proxy("good", path=absent)
    pki.proxy("late", path=expired)
    write_private(tmp_path / "no.token", jwt(iss="i", sub="s"))
    await step.look(house, step.FILES)
    assert {row.trouble for row in await house.read(credentials.known)} == {None}


class Maker:
    """A tower that makes its proxies with a stand-in of arcproxy, which brings what lies beside it."""

    def __init__(self, house: House, pki: TestPki, here: Path) -> None:
        self.house, self._pki, self.here = house, pki, here
        (here / "arcproxy").write_text(STAND_IN)
        (here / "arcproxy").chmod(0o755)
        source = pki.proxy("robot", 900 * HOUR, path=here / "robot.pem")
        self.voms = Voms(vo="atlas", roles=("pilot", "production"), proxypath=source, bindir=here, cacertdir=pki.ca_dir)
        _with(house, self.voms)

    def brings(self, role: str, hours: float = 96, fqan: str | None = None) -> None:
        roles = [fqan or f"/atlas/Role={role}", "/atlas"]
        self._pki.proxy("robot", hours * HOUR, path=self.here / f"{role}.pem", roles=roles)

    def place(self, role: str) -> Path:
        return made_proxy(self.house.settings, role)

    def in_use(self, role: str, hours: float) -> None:
        self.brings(role, hours)
        self.place(role).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(self.here / f"{role}.pem", self.place(role))
        (self.here / f"{role}.pem").unlink()

    def asked(self) -> int:
        file = self.here / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def maker(house: House, pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setattr(voms_client, "PAUSE_S", 0.0)  # between tries: nobody waits here
    (tmp_path / "bin").mkdir()
    return Maker(house, pki, tmp_path / "bin")


async def test_a_proxy_a_role(maker: Maker) -> None:
    rt = maker.house
    maker.brings("pilot")
    maker.brings("production")
    assert await step.renewable(rt) == [PILOT, "atlas-production"]
    for name in await step.renewable(rt):
        assert await step.renew(rt, name) == {"renewed": 1}
    row = await _row(rt, maker.place("production"))
    assert (row.roles, row.renewer, row.trouble) == ("/atlas/Role=production /atlas", "auto", None)
    assert row.renewed_at is not None
    for name in await step.renewable(rt):
        assert await step.renew(rt, name) == {"good": 1}
    assert maker.asked() == 2
    maker.house.ahead = 13 * HOUR
    maker.brings("pilot", 120)
    assert await step.renew(rt, PILOT) == {"renewed": 1}
    assert maker.asked() == 3


async def test_one_that_fails_stops_no_other_and_stays_in_use(maker: Maker, caplog: pytest.LogCaptureFixture) -> None:
    rt = maker.house
    maker.in_use("pilot", 50)
    maker.brings("production")
    assert await step.renew(rt, PILOT) == {"not renewed": 1}
    assert await step.renew(rt, "atlas-production") == {"renewed": 1}
    row = await _row(rt, maker.place("pilot"))
    assert str(row.trouble).startswith("not renewed: /atlas/Role=pilot: arcproxy made no good proxy in 3 tries")
    assert "No such file" in str(row.trouble)
    assert "atlas-pilot is not renewed" in caplog.text
    maker.brings("pilot")
    assert await step.renew(rt, PILOT) == {"renewed": 1}
    assert (await _row(rt, maker.place("pilot"))).trouble is None


@pytest.mark.parametrize("left", [None, -1.0, 20.0], ids=["there is none", "it has ended", "it ends within a day"])
async def test_when_it_is_serious_the_run_turns_red(maker: Maker, left: float | None) -> None:
    if left is not None:
        maker.in_use("pilot", left)
    with pytest.raises(CredentialError, match="made no good proxy"):
        await step.renew(maker.house, PILOT)
    row = await _row(maker.house, maker.place("pilot"))
    assert (row.subject == "") is (left is None)
    assert row.trouble


async def test_a_server_that_grants_little_is_told_of_and_not_asked_all_the_time(maker: Maker) -> None:
    rt = maker.house
    maker.brings("pilot", 24)
    assert await step.renew(rt, PILOT) == {"renewed": 1}
    for _ in range(2):
        assert await step.renew(rt, PILOT) == {"good": 1}
        assert "gives it 24 h of the 96 h" in str((await _row(rt, maker.place("pilot"))).trouble)


async def test_one_that_lasts_as_long_as_its_source_is_not_made_anew(maker: Maker, pki: TestPki) -> None:
    """Towards the end of the source each new one would be no better, and would be due again at once."""
    rt, second = maker.house, 1 / 3600
    pki.proxy("robot", 20 * HOUR, path=maker.here / "robot.pem")
    maker.in_use("pilot", 20 + second)
    assert await step.renew(rt, PILOT) == {"good": 1}
    for hours in (10, 19.5, 19.9):
        maker.house.ahead = hours * HOUR
        assert await step.renew(rt, PILOT) == {"good": 1}
    assert maker.asked() == 0
    pki.proxy("robot", 900 * HOUR, path=maker.here / "robot.pem")
    maker.brings("pilot", 116)
    assert await step.renew(rt, PILOT) == {"renewed": 1}


async def test_an_operators_wish_goes_before_the_calendar(maker: Maker) -> None:
    maker.in_use("pilot", 95)
    assert await step.renew(maker.house, PILOT) == {"good": 1}
    maker.brings("pilot", 96)
    assert await step.renew(maker.house, PILOT, force=True) == {"renewed": 1}
    with pytest.raises(ConfigError, match=r"no credential 'x' .* there are: atlas-pilot, atlas-production"):
        await step.renew(maker.house, "x")


async def test_nothing_is_made_where_somebody_else_does(maker: Maker) -> None:
    _with(maker.house, maker.voms.model_copy(update={"renewer": "none"}))
    assert await step.renewable(maker.house) == []
    maker.in_use("pilot", 50)
    maker.in_use("production", 50)
    assert await step.look(maker.house, step.FILES) == {"good proxies": 3}


@pytest.fixture
async def issuer(house: House, pki: TestPki) -> AsyncIterator[Issuer]:
    made = Issuer({"robot": "secret-of-robot"})
    async with serve_issuer(made, pki.root) as server:
        keys: dict[str, Any] = {"clientid": "robot", "clientsecret": "secret-of-robot", "cacert": pki.ca_dir}
        _with(house, Voms(), {"site": Token(issuer=server.url, **keys)})
        yield made


async def test_a_token_is_asked_for_at_half_its_life(house: House, issuer: Issuer) -> None:
    assert await step.renew(house, "site") == {"renewed": 1}
    assert await step.renew(house, "site") == {"good": 1}
    house.ahead = timedelta(minutes=40)
    issuer.lifetime = 7200
    assert await step.renew(house, "site") == {"renewed": 1}
    assert len(issuer.asked) == 2
    (row,) = await house.read(credentials.known)
    assert (row.kind, row.renewer, row.subject.endswith("/robot")) == ("token", "issuer", True)


async def test_an_issuer_that_refuses_is_told_of(house: House, issuer: Issuer) -> None:
    issuer.clients = {}
    with pytest.raises(CredentialError, match="gives no token: 401"):
        await step.renew(house, "site")
    (row,) = await house.read(credentials.known)
    assert "invalid_client" in str(row.trouble)
    assert "secret-of-robot" not in str(row.trouble)
