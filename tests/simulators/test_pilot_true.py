"""The true pilot: it speaks to PanDA as PanDA wants it, and moves its data itself."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from act_core.simulators.panda import Panda, PandaOptions, build_panda
from act_core.simulators.panda_jobs import JobOrder, expected_outputs, inputs_of, render
from act_core.simulators.panda_records import Job, Patience
from act_core.simulators.panda_roles import Token
from act_core.simulators.pilot import JOB_FILE
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.pilot_run import PANDA_KILL, SIGTERM, run_pilot
from act_core.simulators.pilot_wire import NoWord
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_control import StorageControl
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.simulators.witness import count

QUEUE, ROBOT = "TEST_TRUE", "/DC=org/DC=act-test/CN=robot"


@dataclass
class Grid:
    """PanDA, a storage, and the directory of a job."""

    panda: Panda
    shelf: Shelf
    arguments: list[str]
    here: Path

    def pushed(self, **order: object) -> int:
        """A job that the tower has taken and sent: it lies in the directory, and storage has its inputs."""
        ordered = JobOrder.model_validate({"queue": QUEUE, "run_s": 0} | order)
        (number,) = self.panda.books.create(ordered)
        for file in inputs_of(ordered, number):
            self.shelf.inputs.register(file.scope, file.lfn, file.size)
        (self.here / JOB_FILE).write_text(urlencode(render(ordered, number)))
        return number

    async def run(self, *more: str) -> int:
        return await asyncio.to_thread(run_pilot, [*self.arguments, *more], self.here)

    def job(self, number: int) -> Job:
        return self.panda.books.jobs[number]

    def said(self, number: int) -> list[str]:
        return [update.status for update in self.job(number).updates]


@pytest.fixture
async def grid(pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Grid]:
    """Certificates of others than the robot have no role; one token has."""
    tls = server_context(pki.host, pki.ca_dir)
    roles = {ROBOT: ("/atlas/Role=production",)}
    tokens = (Token(SecretStr("a-token")),)
    panda = build_panda(PandaOptions(Patience(adder=timedelta(0)), roles, tokens))
    shelf = Shelf(Files(), Inputs(), Manners())
    monkeypatch.setenv("X509_USER_PROXY", str(pki.proxy("robot")))
    monkeypatch.setenv("X509_CERT_DIR", str(pki.ca_dir))
    here = tmp_path / "job"
    here.mkdir()
    async with (
        Simulator(panda.app, panda.control, tls=tls) as server,
        Simulator(shelf.app(), StorageControl(shelf).routes(), tls=tls) as storage,
    ):
        address, _, port = server.url.rpartition(":")
        words = ["-q", QUEUE, "-j", "managed", "--url", address, "-p", port, "-w", "generic"]
        words += ["--storage", f"{storage.url}/out", "--replicas", f"{storage.url}/replicas"]
        yield Grid(panda, shelf, words, here)


async def test_it_tells_its_life_and_stores_what_it_made(grid: Grid, tmp_path: Path) -> None:
    number = grid.pushed(inputs=2, outputs=2, run_s=0.05)
    witness = tmp_path / "witness"
    assert await grid.run("--heartbeat", "0.02", "--witness", str(witness)) == 0
    first, *between, last = grid.said(number)
    assert (first, last) == ("starting", "finished")
    assert between.count("running") >= 2
    assert between[-1] == "transferring"
    job = grid.job(number)
    assert (job.status, job.finals, job.columns["actualCoreCount"]) == ("finished", 1, 1)
    assert {"startTime", "endTime", "pilotID", "jobMetrics"} <= job.columns.keys()
    outputs, log, inputs = expected_outputs(job.order, number)
    stored = {file.path.rpartition("/")[2] for file in grid.shelf.files.listed()}
    assert stored == {*outputs, log}
    assert {path.name for path in grid.here.iterdir()} == {JOB_FILE, log, *inputs}
    assert count(witness) == {str(number): 1}


async def test_it_asks_panda_for_a_job_with_a_token(
    grid: Grid, pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(pki.proxy("jane")))
    assert await grid.run("--token", str(_private(tmp_path / "token", "a-token")), "--origin", "atlas.production") == 0
    (number,) = grid.panda.books.create(JobOrder(queue=QUEUE, run_s=0))
    monkeypatch.setenv("PANDA_AUTH_TOKEN", "a-token")
    monkeypatch.setenv("PANDA_AUTH_ORIGIN", "atlas:production")
    assert await grid.run() == 0
    assert (grid.job(number).acquisitions, grid.job(number).status) == (1, "finished")


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


async def test_without_the_role_nothing_is_told(grid: Grid, pki: TestPki, monkeypatch: pytest.MonkeyPatch) -> None:
    number = grid.pushed()
    monkeypatch.setenv("X509_USER_PROXY", str(pki.proxy("jane")))
    with pytest.raises(NoWord, match="production or pilot role required"):
        await grid.run()
    assert grid.said(number) == []


async def test_a_server_that_it_cannot_verify_hears_nothing(grid: Grid, tmp_path: Path) -> None:
    number = grid.pushed()
    with pytest.raises(NoWord, match="certificate verify failed"):
        await grid.run("--cadir", str(tmp_path))
    assert (grid.said(number), list(grid.shelf.files.listed())) == ([], [])


async def test_a_kill_order_ends_it(grid: Grid) -> None:
    number = grid.pushed(run_s=600)
    grid.panda.books.update({"job_id": number, "job_status": "running"}, grid.panda.clock.now())
    grid.panda.books.kill([number], None, grid.panda.clock.now())
    assert await grid.run() == 1
    job = grid.job(number)
    assert (job.status, job.columns["pilotErrorCode"]) == ("cancelled", PANDA_KILL)


async def test_who_was_to_die_later_dies_of_what_comes_first(grid: Grid) -> None:
    number = grid.pushed(inputs=1, die="killed")
    grid.shelf.inputs = Inputs()
    assert await grid.run() == 1
    assert (grid.job(number).status, grid.job(number).columns["pilotErrorCode"]) == ("failed", 1099)


async def test_a_missing_input_is_a_stage_in_error(grid: Grid) -> None:
    number = grid.pushed(inputs=1)
    grid.shelf.inputs = Inputs()
    assert await grid.run() == 1
    job = grid.job(number)
    assert (job.status, job.columns["pilotErrorCode"]) == ("failed", 1099)
    assert "running" not in grid.said(number)


async def test_a_pilot_that_is_told_to_end_says_so(grid: Grid, tmp_path: Path) -> None:
    number = grid.pushed(run_s=600)
    program, witness = tmp_path / "wrapper.sh", tmp_path / "witness"
    program.write_bytes(wrapper())
    command = (sys.executable, str(program), *grid.arguments, "--witness", str(witness))
    process = await asyncio.create_subprocess_exec(*command, cwd=grid.here, stdout=-3)
    while not count(witness):
        assert process.returncode is None
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 1
    job = grid.job(number)
    assert (job.status, job.columns["pilotErrorCode"]) == ("failed", SIGTERM)


async def test_executions_can_be_told_to_storage(grid: Grid) -> None:
    number = grid.pushed()
    trace = grid.arguments[grid.arguments.index("--storage") + 1].replace("/out", "/trace")
    assert await grid.run("--witness", trace) == 0
    (path,) = [file.path for file in grid.shelf.files.listed() if file.path.startswith("trace/")]
    assert path.startswith(f"trace/{number}/")
    assert json.loads(grid.shelf.files.get(f"/{path}"))["key"] == str(number)
