"""What jobs on a CE hold is kept fresh: whoever the CE is shown, and after the tower's own was made anew."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.ce.base import Shown
from act_core.credentials.values import Bearer
from act_core.engine import credentials as step
from act_core.errors import CredentialError
from act_core.runtime import Counts
from act_core.settings.model import Site
from act_core.settings.policy import Token, Voms
from act_core.simulators.pki import TestPki, write_private
from act_core.stages import Tower, sweep
from act_core.states import CeState
from tests.credentials.jwts import jwt
from tests.engine.house import CE, House

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def given(house: House, monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What the CE was told to renew with."""
    found: list[Shown] = []

    async def renew(shown: Shown) -> None:
        found.append(shown)

    house.end.traits = replace(house.end.traits, needs_credential=True)
    monkeypatch.setattr(house.end, "renew", renew)
    return found


def _configured(house: House, site: Site, voms: Voms | None = None, **tokens: Token) -> None:
    changed = {"voms": voms or Voms(), "sites": {CE: site}, "tokens": tokens}
    house.settings = house.settings.model_copy(update={"arc": house.settings.arc.model_copy(update=changed)})


async def test_a_ce_that_is_shown_a_token_alone(house: House, given: list[Shown], tmp_path: Path) -> None:
    """HTCondor's queued jobs name a copy of it, which nobody else replaces while nothing is submitted."""
    write_private(tmp_path / "token", jwt(iss="https://i", sub="robot", exp=house.now() + HOUR))
    _configured(house, Site(kind="local", credential="token", token="t"), t=Token(file=tmp_path / "token"))
    assert await step.delegate(house, CE) == {"tokens looked after": 1}
    (shown,) = given
    assert isinstance(shown, Bearer)
    assert shown.subject == "https://i/robot"
    house.ahead = 2 * HOUR
    with pytest.raises(CredentialError, match="token expired"):
        await step.delegate(house, CE)


async def test_a_ce_that_is_shown_nothing(house: House, given: list[Shown]) -> None:
    _configured(house, Site(kind="local"))
    assert await step.delegate(house, CE) == Counts()
    house.end.traits = replace(house.end.traits, needs_credential=False)
    assert await step.delegate(house, CE) == Counts()
    assert given == []


async def test_in_a_pass_the_proxy_comes_first(house: House, given: list[Shown], pki: TestPki, tmp_path: Path) -> None:
    """A tower that was away for days finds an ended proxy: no CE is blamed for it, and jobs get the new one at once."""
    here = tmp_path / "bin"
    here.mkdir()
    (here / "arcproxy").write_text('#!/bin/sh\ncp "${0%/*}/fresh.pem" "$2"\n')
    (here / "arcproxy").chmod(0o755)
    pki.proxy("robot", 96 * HOUR, path=here / "fresh.pem", roles=["/atlas"])
    source = pki.proxy("robot", 900 * HOUR, path=tmp_path / "robot.pem")
    voms = Voms(vo="atlas", proxypath=source, bindir=here, cacertdir=pki.ca_dir)
    _configured(house, Site(kind="local"), voms)
    place = step.made(house.settings)["atlas"].place
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pki.proxy("robot", -HOUR, path=place, roles=["/atlas"])
    await house.jobs(1, CeState.RUNNING)
    counts = await sweep(Tower(house, apps=()), "renew-credentials")
    assert (counts["errors"], counts["renewed"], counts["delegations fresh"]) == (0, 1, 1)
    assert given[0].expires > house.now() + 90 * HOUR
