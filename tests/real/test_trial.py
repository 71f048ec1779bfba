"""`act ces test` against a real A-REX and a real schedd before its CE: every step, and nothing is left there."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from arex import Arex
from condor import Condor
from condor_house import settings_of

from act_core.ce.arc_rest import ArcCe
from act_core.ce.diagnosis import Finding
from act_core.ce.registry import open_ce
from act_core.engine.trial import Plan, Trial
from act_core.ids import TowerId
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms

pytestmark = pytest.mark.real

STEPS = (
    "address", "TLS", "identity", "mapping", "version", "queue", "RTEs", "delegation",
    "submit", "two-phase", "inputs", "kill", "run", "output", "clean",
)  # fmt: skip


GRID_STEPS = (
    "schedd", "address", "identity", "mapping", "version", "queue",
    "submit", "two-phase", "inputs", "kill", "run", "output", "clean",
)  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)


async def test_a_real_ce_is_tried_and_left_clean(arex: Arex, tmp_path: Path) -> None:
    voms = Voms(proxypath=arex.proxies["alice"], cacertdir=arex.ca_dir)
    site = Site(endpoint=arex.url, options={"queue": "fork"})
    ce = open_ce(Settings(state_dir=tmp_path, arc=ArcSettings(voms=voms)), "real", _now, site)
    assert isinstance(ce, ArcCe)
    found: list[Finding] = []
    try:
        plan = Plan(sleep=1, deadline=90, watch=12, leave=60)
        good = await Trial(ce, TowerId("tower001"), plan, _now, found.append).run()
        told = {one.step: f"{one.verdict} {one.words}" for one in found}
        assert good, told
        assert tuple(told) == STEPS
        answer = await ce._wire.call("GET", f"{await ce._path()}/jobs", _now())
        listed = json.dumps(answer.body.decode())
        sent = told["submit"].removeprefix("ok taken as ").split(" and ")
        assert [job for job in sent if job in listed] == []
    finally:
        await ce.close()


async def test_a_schedd_and_its_ce_are_tried_and_left_clean(condor: Condor, open_path: Path) -> None:
    ce = open_ce(settings_of(condor, open_path, {"grid": condor.grid()}), "grid", _now)
    found: list[Finding] = []
    try:
        plan = Plan(sleep=1, deadline=90, watch=1, leave=60)
        good = await Trial(ce, TowerId("tower001"), plan, _now, found.append).run()
    finally:
        await ce.close()
    told = {one.step: f"{one.verdict} {one.words}" for one in found}
    assert good, told
    assert tuple(told) == GRID_STEPS
    assert told["schedd"].startswith("ok 23.9")
    assert "issuer.act.test/pilot" in told["identity"]
    sent = told["submit"].removeprefix("ok taken as ").split(" and ")
    keys = condor.run("submit", "condor_q", "-allusers", "-af", "ActKey").split()
    assert [job for job in sent if job.rpartition("#")[2] in keys] == []
    assert not list((open_path / "jobs/grid").glob("act-*"))
