"""VOMS proxies made by the programs that sites trust, in the chroots of A-REX, from a simulated VOMS server.

voms-proxy-init is that of Debian 13: the one of Debian 12 (2.1.0~rc3) writes no proxy here.
"""

import os
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arex_account import inside_as
from arex_install import CannotInstall, how_to, installed, root_of

from act_core.credentials.proxy import read_proxy, sign_delegation
from act_core.credentials.voms_client import Renewed, renew
from act_core.errors import CredentialError
from act_core.settings.policy import Voms
from act_core.simulators.arc_delegations import certificate_request, new_key
from act_core.simulators.pki import TestPki
from act_core.simulators.voms import VomsOptions, VomsServer, client_files
from tests.fixtures.skipped import missing

pytestmark = pytest.mark.real

HOUR = timedelta(hours=1)
PRODUCTION = "/atlas/Role=production"
INSTALLED = {"arcproxy": "6", "voms-proxy-init": "7"}  # in which chroot


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=sorted(INSTALLED))
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One of the programs, which runs in the chroot and sees the test's files under the same paths."""
    name, version = str(request.param), INSTALLED[request.param]
    if os.geteuid() != 0 or installed(version) is None:
        missing("arcproxy", f"{name} runs in a chroot, as root: {how_to(version)}")
    try:
        words = shlex.join(inside_as(root_of(version), "root", f"/usr/bin/{name}"))
    except CannotInstall as err:
        missing("arcproxy", str(err))
    made = tmp_path / "bin" / name
    made.parent.mkdir()
    made.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    made.chmod(0o755)
    return made


class Desk:
    """A robot of a VO, and the program that makes its proxies."""

    def __init__(self, pki: TestPki, root: Path, program: Path, source: Path, port: int) -> None:
        vomses, vomsdir = client_files(pki, "atlas", port, root)
        self.place = root / "store" / "made.pem"
        self._voms = Voms.model_validate(
            {"vo": "atlas", "proxypath": source, "cacertdir": pki.ca_dir, "bindir": program.parent}
            | {"renewer": program.name, "vomses": vomses, "vomsdir": vomsdir}
        )

    async def renew(self, role: str | None = "production") -> Renewed:
        return await renew(self._voms, role, self.place, _now, pause=0)


def _options(pki: TestPki) -> VomsOptions:
    return VomsOptions(pki.root, "atlas", {"robot": (PRODUCTION,)}, longest=48 * HOUR)


def _robot(pki: TestPki, path: Path) -> Path:
    """Certificate and key in one file, as a robot's lie at a site."""
    robot = pki.user("robot")
    path.touch(0o600)
    path.write_bytes(robot.certificate.read_bytes() + robot.key.read_bytes())
    return path


@pytest.mark.parametrize("role", ["production", None], ids=["a role", "the VO alone"])
@pytest.mark.parametrize("source", ["a certificate", "a proxy"])
async def test_a_proxy_of_a_role(pki: TestPki, tmp_path: Path, program: Path, role: str | None, source: str) -> None:
    path = tmp_path / "robot.pem"
    _robot(pki, path) if source == "a certificate" else pki.proxy("robot", 900 * HOUR, path=path)
    async with VomsServer(_options(pki)) as server:
        desk = Desk(pki, tmp_path, program, path, server.port)
        done = await desk.renew(role)
        wanted = PRODUCTION if role else "/atlas"
        assert done.credential.roles[0] == wanted
        assert done.credential.subject == pki.user("robot").dn
        assert len(server.asked) == 1
        assert done.but == "the VOMS server gives it 48 h of the 96 h that were asked for"
        request = certificate_request(new_key(), 0)
        assert sign_delegation(request, desk.place, _now()).count(b"BEGIN CERTIFICATE") >= 3


async def test_a_role_that_it_has_no_right_to(pki: TestPki, tmp_path: Path, program: Path) -> None:
    source = _robot(pki, tmp_path / "robot.pem")
    async with VomsServer(_options(pki)) as server:
        desk = Desk(pki, tmp_path, program, source, server.port)
        await desk.renew()
        with pytest.raises(CredentialError, match="made no good proxy in 3 tries"):
            await desk.renew("admin")
    assert read_proxy(desk.place).roles[0] == PRODUCTION
    assert list(desk.place.parent.iterdir()) == [desk.place]


async def test_what_is_made_of_a_short_proxy_ends_with_it(pki: TestPki, tmp_path: Path, program: Path) -> None:
    source = pki.proxy("robot", 5 * HOUR, path=tmp_path / "robot.pem")
    async with VomsServer(_options(pki)) as server:
        done = await Desk(pki, tmp_path, program, source, server.port).renew()
    assert done.credential.expires <= read_proxy(source).expires
    assert "it ends with what it is made from" in str(done.but)
