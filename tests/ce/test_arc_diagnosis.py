"""What is told of an A-REX before any job: the pieces of the diagnosis. Whole ones: tests/cli/test_ce_test.py."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.arc_delegation import Delegations
from act_core.ce.arc_diagnosis import Diagnosis, environments
from act_core.ce.arc_http import ArcConnection
from act_core.ce.diagnosis import Diagnosable, Finding, Verdict
from act_core.simulators.pki import TestPki
from tests.ce.arc_house import Builder, House

APPS = [{"AppName": "ENV/PROXY"}, {"AppName": "APPS/HEP/ATLAS-SITE", "AppVersion": "1.0"}, {"AppVersion": "2"}, "odd"]


def glue2(apps: Any) -> bytes:
    manager = {"ApplicationEnvironments": apps}
    service = {"ComputingService": {"ComputingManager": [manager]}}
    return json.dumps({"Domains": {"AdminDomain": {"Services": service}}}).encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(glue2({"ApplicationEnvironment": APPS}), ["ENV/PROXY", "APPS/HEP/ATLAS-SITE-1.0"], id="many"),
        pytest.param(glue2({"ApplicationEnvironment": APPS[0]}), ["ENV/PROXY"], id="one, without its list"),
        pytest.param(glue2("\n     "), [], id="none, as A-REX writes it"),
        pytest.param(b"{}", [], id="an empty document"),
        pytest.param(b"[1]", [], id="no document"),
    ],
)
def test_runtime_environments_of_a_document(body: bytes, found: list[str]) -> None:
    assert list(environments(body)) == found


async def steps(house: House, wanted: tuple[str, ...] = (), **site: Any) -> dict[str, Finding]:
    ce = house.client(**site)
    assert isinstance(ce, Diagnosable)
    return {found.step: found async for found in ce.diagnose(wanted)}


@pytest.fixture
def rtes(pki: TestPki, tmp_path: Path) -> Callable[..., Diagnosis]:
    """A diagnosis that has read its document, and wants these."""

    def make(*wanted: str, document: bytes = b"") -> Diagnosis:
        wire = ArcConnection("https://ce/arex", pki.ca_dir, pki.root / "proxy.pem", timedelta(seconds=1), 1, 1)
        none: Any = None
        return Diagnosis(none, None, wire, none, Delegations(tmp_path / "d.json"), wanted, document=document)

    return make


@pytest.mark.parametrize(
    ("wanted", "apps", "verdict", "words"),
    [
        pytest.param((), APPS, Verdict.SKIPPED, "none is needed; there are APPS", id="none is needed"),
        pytest.param(("env/proxy",), APPS, Verdict.OK, "env/proxy: there", id="in other letters"),
        pytest.param(("APPS/HEP/ATLAS-SITE",), APPS, Verdict.OK, "there", id="in some version"),
        pytest.param(("ENV/PRO",), APPS, Verdict.BAD, "not there: ENV/PRO; there are APPS", id="part of a name"),
        pytest.param(("ENV/PROXY",), [], Verdict.ODD, "the CE tells none", id="the CE tells none"),
    ],
)
async def test_runtime_environments_that_jobs_need(
    rtes: Callable[..., Diagnosis], wanted: tuple[str, ...], apps: list[Any], verdict: Verdict, words: str
) -> None:
    found = await rtes(*wanted, document=glue2({"ApplicationEnvironment": apps}))._rtes()
    assert found.verdict is verdict
    assert words in found.words


async def test_of_a_well_ce_everything_is_told(house: House) -> None:
    found = await steps(house)
    assert list(found) == ["address", "TLS", "identity", "mapping", "version", "queue", "RTEs", "delegation"]
    assert not any(one.bad for one in found.values())


async def test_a_delegation_is_used_again_by_jobs(house: House) -> None:
    await steps(house)
    await steps(house)
    assert await house.asked("delegations?action=new") == 1


async def test_an_address_without_its_path(house: House) -> None:
    place = f"{house.simulator.url}/elsewhere"
    ce = house.client()
    ce._wire.endpoint = place
    found = {one.step: one async for one in ce.diagnose()}
    assert list(found) == ["address", "TLS", "identity", "mapping"]
    assert "answers 404" in found["mapping"].words
    assert "/arex as a rule" in found["mapping"].do


async def test_a_host_that_can_have_no_address(house: House) -> None:
    ce = house.client()
    ce._wire.endpoint = "https://ce..7/arex"
    (found,) = [one async for one in ce.diagnose()]
    assert found.words.startswith("no address is known for ce..7: ")


async def test_a_proxy_that_has_expired(build: Builder, pki: TestPki) -> None:
    old = pki.proxy("alice", timedelta(hours=-1), path=pki.root / "old.pem")
    made = await build()
    ce = made.client(proxy=old)
    found = {one.step: one async for one in ce.diagnose()}
    assert list(found) == ["address", "TLS", "identity"]
    assert "expired" in found["identity"].words
    assert "act sweep renew-credentials" in found["identity"].do


async def test_a_host_certificate_that_ends_soon_is_to_be_looked_at(house: House) -> None:
    later = datetime.now(UTC) + timedelta(days=360)
    ce = house.client(now=lambda: later)
    found = [one async for one in ce.diagnose()][1]
    assert (found.step, found.verdict) == ("TLS", Verdict.ODD)
    assert "Ask the site to renew" in found.do


async def test_a_server_that_speaks_no_tls(house: House) -> None:
    ce = house.client()
    ce._wire.endpoint = house.simulator.control_url.replace("http://", "https://")
    found = [one async for one in ce.diagnose()][-1]
    assert (found.step, found.bad) == ("TLS", True)
    assert found.words.startswith("no TLS: ")


async def test_a_ce_in_trouble_is_told_as_it_says(house: House) -> None:
    await house.fault("error", path="/info", status=500, reason="no GLUE2")
    found = await steps(house)
    assert found["queue"].words.endswith("answers 500 no GLUE2")
    assert found["queue"].do == "Try again; if it stays so, ask the site."
    assert not found["delegation"].bad
