"""PanDA and storage see the production role, whatever CEs are shown."""

from pathlib import Path
from typing import Any

import pytest

from act_core.atlas.panda_identity import panda_proxy
from act_core.errors import ConfigError
from act_core.settings.app_model import AppSettings, Panda
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Voms
from tests.settings.written import load


def _settings(voms: dict[str, Any], panda: dict[str, Any]) -> Settings:
    arc, app = ArcSettings(voms=Voms.model_validate(voms)), AppSettings(panda=Panda.model_validate(panda))
    return Settings(state_dir=Path("/state"), arc=arc, app=app)


VO = {"vo": "atlas", "proxypath": "/robot.pem", "proxystoredir": "/store"}


@pytest.mark.parametrize(
    ("voms", "panda", "file"),
    [
        pytest.param({"proxypath": "/long.pem"}, {}, "/long.pem", id="somebody else renews it"),
        pytest.param({}, {}, None, id="none"),
        pytest.param(VO | {"roles": ["pilot", "production"]}, {}, "/store/atlas-production.pem", id="not the first"),
        pytest.param(VO | {"roles": ["pilot"]}, {}, "/store/atlas-pilot.pem", id="the only one"),
        pytest.param(VO, {}, "/store/atlas.pem", id="the VO alone"),
        pytest.param(VO | {"roles": ["pilot", "x"]}, {"role": "x"}, "/store/atlas-x.pem", id="by name"),
        pytest.param(VO | {"roles": ["production"]}, {"proxy": "/own.pem"}, "/own.pem", id="its own"),
    ],
)
def test_the_proxy_for_panda(voms: dict[str, Any], panda: dict[str, Any], file: str | None) -> None:
    assert panda_proxy(_settings(voms, panda)) == (Path(file) if file else None)


def test_a_role_that_is_not_made() -> None:
    with pytest.raises(ConfigError, match=r"panda\.role: 'x' is none of voms\.roles \(pilot\)"):
        panda_proxy(_settings(VO | {"roles": ["pilot"]}, {"role": "x"}))


@pytest.mark.parametrize(
    ("arc", "app", "told"),
    [
        ("voms: {vo: atlas, roles: [pilot]}", "modules: {app: [atlas]}", 1),
        ("voms: {vo: atlas, roles: [pilot, production]}", "modules: {app: [atlas]}\npanda: {role: pilot}", 1),
        ("voms: {vo: atlas, roles: [pilot, production]}", "modules: {app: [atlas]}", 0),
        ("voms: {vo: atlas, roles: [pilot]}", "modules: {app: [atlas]}\npanda: {api: legacy}", 0),
        ("voms: {vo: atlas, roles: [pilot]}", "modules: {app: [atlas]}\npanda: {proxy: /p.pem}", 0),
        ("voms: {vo: atlas, roles: [pilot]}", "modules: {app: [manual]}", 0),
    ],
)
def test_an_identity_that_panda_refuses_is_told(tmp_path: Path, arc: str, app: str, told: int) -> None:
    warnings = [one for one in load(tmp_path, arc, app).warnings if "only from the role production" in one]
    assert len(warnings) == told
