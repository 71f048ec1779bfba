"""Who the tower is to a CE, and jobs whose proxy would not last."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.db import credentials
from act_core.engine.identity import Identity, identity
from act_core.errors import CredentialError
from act_core.settings.model import Site
from act_core.settings.policy import Token, Voms
from act_core.simulators.pki import TestPki, write_private
from tests.credentials.jwts import jwt
from tests.engine.house import CE, House

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


def _shown(house: House, voms: Voms | None = None, file: Path | None = None, **site: str) -> House:
    """The CE wants a credential now, and is shown these."""
    house.end.traits = replace(house.end.traits, needs_credential=True)
    tokens = {"robot": Token(file=file)} if file else {}
    changed = {"voms": voms or Voms(), "sites": {CE: Site(kind="local", **site)}, "tokens": tokens}
    house.settings = house.settings.model_copy(update={"arc": house.settings.arc.model_copy(update=changed)})
    return house


async def _now(house: House) -> Identity:
    found = await identity(house, CE)
    assert found is not None
    return found


async def test_a_ce_that_needs_nothing_is_shown_nothing(house: House) -> None:
    assert await identity(house, CE) is None


async def test_the_same_subject_stays_the_same_identity(house: House, pki: TestPki, tmp_path: Path) -> None:
    file = pki.proxy("alice", 5 * HOUR, path=tmp_path / "one.pem")
    first = await _now(_shown(house, Voms(proxypath=file)))
    assert first.subject == pki.user("alice").dn
    assert first.proxy_until == first.expires
    assert await _now(house) == first
    pki.proxy("alice", 9 * HOUR, path=file)
    renewed = await _now(house)
    assert (renewed.credential_id, renewed.subject) == (first.credential_id, first.subject)
    assert renewed.expires > first.expires + 3 * HOUR
    elsewhere = pki.proxy("alice", path=tmp_path / "two.pem")
    assert (await _now(_shown(house, Voms(proxypath=elsewhere)))).credential_id == first.credential_id


async def test_another_subject_in_the_same_file_is_another_identity(house: House, pki: TestPki, tmp_path: Path) -> None:
    file = pki.proxy("alice", path=tmp_path / "one.pem")
    alice = await _now(_shown(house, Voms(proxypath=file)))
    pki.proxy("bob", path=file)
    bob = await _now(house)
    assert (bob.subject, bob.credential_id != alice.credential_id) == (pki.user("bob").dn, True)
    pki.proxy("alice", path=file)
    assert (await _now(house)).credential_id == alice.credential_id
    rows = await house.read(credentials.known)
    assert sorted(row.path.partition("#")[0] for row in rows) == [str(file)] * 3


async def test_what_a_job_gets_of_a_long_proxy_is_shorter(house: House, pki: TestPki, tmp_path: Path) -> None:
    """A delegation lives four days, and may be twelve hours old when a job is sent."""
    file = pki.proxy("alice", timedelta(days=30), path=tmp_path / "long.pem")
    found = await _now(_shown(house, Voms(proxypath=file)))
    assert found.proxy_until is not None
    assert abs(found.proxy_until - house.now() - timedelta(hours=84)) < HOUR
    assert found.expires > house.now() + timedelta(days=29)


async def test_a_token_makes_no_proxy_on_worker_nodes(house: House, tmp_path: Path) -> None:
    write_private(tmp_path / "token", jwt(iss="https://issuer/", sub="robot", exp=house.now() + HOUR))
    found = await _now(_shown(house, file=tmp_path / "token", token="robot", credential="token"))
    assert (found.subject, found.proxy_until) == ("https://issuer/robot", None)
    house.ahead = 2 * HOUR
    with pytest.raises(CredentialError, match="token expired at"):
        await identity(house, CE)


async def test_one_that_expires_while_it_is_known(house: House, pki: TestPki, tmp_path: Path) -> None:
    file = pki.proxy("alice", HOUR, path=tmp_path / "short.pem")
    await _now(_shown(house, Voms(proxypath=file)))
    house.ahead = 2 * HOUR
    with pytest.raises(CredentialError, match=r"short\.pem expired"):
        await identity(house, CE)
    file.unlink()
    with pytest.raises(CredentialError, match=r"short\.pem cannot be read: No such file"):
        await identity(house, CE)
