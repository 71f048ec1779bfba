"""Where credentials lie: made by the tower, or named."""

from pathlib import Path

import pytest

from act_core.credentials.places import made_token, proxy_of, store
from act_core.errors import ConfigError
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms

PLAIN = Voms(proxypath="/robot.pem")
MAKES = Voms(proxypath="/robot.pem", vo="atlas", roles=("production", "/atlas/de/Role=pilot"), proxystoredir="/store")


def _settings(voms: Voms) -> Settings:
    return Settings(state_dir=Path("/state"), arc=ArcSettings(voms=voms))


@pytest.mark.parametrize(
    ("voms", "site", "file"),
    [
        pytest.param(PLAIN, {}, "/robot.pem", id="as it is"),
        pytest.param(PLAIN, {"proxy": "/own.pem"}, "/own.pem", id="the site's own"),
        pytest.param(Voms(), {}, None, id="none"),
        pytest.param(PLAIN, {"credential": "token"}, None, id="a token alone"),
        pytest.param(PLAIN, {"credential": "both"}, "/robot.pem", id="both"),
        pytest.param(MAKES, {}, "/store/atlas-production.pem", id="of the first role"),
        pytest.param(
            MAKES, {"role": "/atlas/de/Role=pilot"}, "/store/atlas-_atlas_de_Role_pilot.pem", id="of its role"
        ),
        pytest.param(MAKES, {"proxy": "/own.pem"}, "/own.pem", id="its own goes before"),
        pytest.param(Voms(vo="atlas"), {}, "/state/proxies/atlas.pem", id="of the VO alone"),
    ],
)
def test_the_proxy_of_a_ce(voms: Voms, site: dict[str, str], file: str | None) -> None:
    found = proxy_of(_settings(voms), "ce", Site.model_validate(site))
    assert found == (Path(file) if file else None)


def test_a_role_that_is_not_made() -> None:
    with pytest.raises(ConfigError, match=r"sites\.ce\.role: 'x' is none of voms\.roles"):
        proxy_of(_settings(MAKES), "ce", Site(role="x"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "x" * 300, "..", "site-a"])
def test_a_name_never_leaves_the_store(name: str) -> None:
    settings = _settings(PLAIN)
    assert made_token(settings, name).parent == store(settings) == Path("/state/proxies")
    assert len(made_token(settings, name).name) <= 110
