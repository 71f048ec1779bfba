"""PanDA jobs as translated, at real CEs: native and with a true pilot at an A-REX, true pilots at an HTCondor-CE."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from arex import Arex
from condor import Condor
from condor_house import open_condor_house
from house import CE, open_house

from act_core.atlas.translate import translate
from act_core.atlas.wire import PandaJob, decode_for_pilot
from act_core.jobspec import JobSpec
from act_core.states import CeState
from tests.atlas.goldens import BOOKED, SETTINGS, goldens

pytestmark = pytest.mark.real

DEMO_S = 600.0
WRAPPER = """#!/bin/sh
echo "$HARVESTER_WORKER_ID" >> {witness}
cat pandaJobData.out
echo
echo "$@"
"""
TRUE = """#!/bin/sh
cat pandaJobData.out
echo
echo "$@"
grep -q CERTIFICATE "$X509_USER_PROXY" && echo a proxy
"""
NATIVE = (
    TRUE
    + """echo "{{}}" > heartbeat.json
echo made > hits
echo "hits {storage}/out/hits" > output.list
"""
)


@pytest.fixture
def tmp_path(open_path: Path) -> Path:
    return open_path


@asynccontextmanager
async def served(text: str) -> AsyncIterator[str]:
    """A web server on loopback with the wrapper; its address."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/pilot/runpilot2-wrapper.sh", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/pilot/runpilot2-wrapper.sh"
    finally:
        await runner.cleanup()


def described(name: str, number: int, wrapper: str) -> JobSpec:
    """The golden job of this name, with a wrapper that is there."""
    (golden,) = [one for one in goldens() if one.file.stem == name]
    job = PandaJob.parse(golden.held["job"] | {"PandaID": number})
    settings = replace(SETTINGS, wrapper=wrapper, tarball=None, queuedata="")
    spec = translate(job, golden.queue, settings, BOOKED, golden.worker)
    return spec.model_copy(update={"name": f"{name}-{number}", "queue": None})


async def test_a_true_pilot_runs_at_an_htcondor_ce(condor: Condor, tmp_path: Path) -> None:
    text = WRAPPER.format(witness=tmp_path / "witness")
    local = tmp_path / "runpilot2-wrapper.sh"
    await asyncio.to_thread(local.write_text, text)
    sites = {"shared": condor.grid(), "spool": condor.grid() | {"files": "spool"}}
    async with served(text) as address, open_condor_house(condor, tmp_path, sites) as house:
        specs = {
            f"{ce}-{kind}": described("htcondor-with-worker", number, wrapper).model_copy(
                update={"name": f"{ce}-{kind}"}
            )
            for number, (ce, kind, wrapper) in enumerate(
                ((ce, kind, wrapper) for ce in sites for kind, wrapper in (("path", str(local)), ("url", address))), 1
            )
        }
        for name, spec in specs.items():
            await house.add(name.partition("-")[0], spec)
        rows = await house.to_the_end(*specs)
        said = {name: (row.state, row.error) for name, row in rows.items()}
        assert said == dict.fromkeys(specs, (CeState.DONE, None))
        assert house.executed() == {"4713": len(specs)}
        for number, (name, spec) in enumerate(specs.items(), 1):
            job, told = house.output(rows[name], str(spec.stdout)).splitlines()
            assert decode_for_pilot(job)["PandaID"] == str(number)
            assert told == " ".join(spec.arguments)
            assert "Job submitted" in house.output(rows[name], "gmlog/errors")


@pytest.mark.parametrize("auth", ["proxy", "token"])
async def test_the_demo_runs_true_pilots_through_htcondor(condor: Condor, tmp_path: Path, auth: str) -> None:
    before = _through(condor)
    words = ("--jobs", "40", "--panda-auth", auth, "--htcondor", str(condor.demo_file()), "--json")
    command = (sys.executable, "-m", "act_core.cli", "demo", *words, "--directory", str(tmp_path / "demo"))
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    said, told = await asyncio.wait_for(process.communicate(), DEMO_S)
    assert process.returncode == 0, told.decode()[-2000:]
    verdict = json.loads(said)
    lost = {name: verdict[name] for name in ("lost", "twice", "reported_twice", "files_missing")}
    assert lost == dict.fromkeys(lost, 0)
    assert verdict["left_on_ces"]["condor"] == 0
    assert _through(condor) == before + 2


def _through(condor: Condor) -> int:
    """How many jobs of the demo's site the schedd has had and let go."""
    asked = ("condor_history", "-constraint", 'ActSite == "condor"', "-af", "ClusterId")
    return len(condor.run("submit", *asked).split())


def enable(arex: Arex, environment: str, text: str) -> None:
    """A runtime environment that the site's administrator has installed."""
    file = arex.control_dir / "rte" / "enabled" / environment
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


async def test_native_and_true_pilots_run_at_an_arex(arex: Arex, tmp_path: Path) -> None:
    proxy = (arex.root / "usr/share/arc/rte/ENV/PROXY").read_text()
    enable(arex, "ENV/PROXY", proxy)
    enable(arex, "APPS/HEP/ATLAS-SITE", "")
    async with open_house(arex, tmp_path / "state") as house:
        house.files.put("/pilot/native.sh", NATIVE.format(storage=house.storage).encode())
        house.files.put("/pilot/true.sh", TRUE.encode())
        native = described("native-analysis-build-job", 1, f"{house.storage}/pilot/native.sh")
        true = described("truepilot-own-walltime", 2, f"{house.storage}/pilot/true.sh")
        await house.add(CE, native, true)
        rows = await house.to_the_end(native.name, true.name)
        said = {name: (row.state, row.error) for name, row in rows.items()}
        assert said == dict.fromkeys(rows, (CeState.DONE, None))
        assert house.output(rows[native.name], "heartbeat.json") == "{}\n"
        assert house.files.get("/out/hits") == b"made\n"
        for spec in (native, true):
            job, told, held = house.output(rows[spec.name], str(spec.stdout)).splitlines()
            assert decode_for_pilot(job)["PandaID"] == spec.name.rpartition("-")[2]
            assert told == " ".join(spec.arguments)
            assert held == "a proxy"
            assert "FINISHING -> FINISHED" in house.output(rows[spec.name], "gmlog/errors")
