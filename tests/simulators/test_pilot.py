"""The pilot: as a function, and as a real process with a bare Python."""

import asyncio
import io
import json
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestServer

from act_core.simulators import pilot, pilot_run
from act_core.simulators.contents import generated
from act_core.simulators.panda_jobs import JobOrder, expected_outputs, inputs_of, render
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.simulators.witness import count

STORAGE = "https://storage.test.example/data"
ORDER = JobOrder(queue="TEST_ARC", inputs=2, outputs=2, cores=8, run_s=0.01, output_size=123)
NUMBER = 6_000_000_007


def prepare(directory: Path, order: JobOrder = ORDER) -> None:
    (directory / pilot.JOB_FILE).write_text(urlencode(render(order, NUMBER)))
    for file in inputs_of(order, NUMBER):
        (directory / file.lfn).write_bytes(generated(file.lfn, file.size))


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def run(directory: Path, *arguments: str) -> tuple[int | None, str]:
    program = directory.parent / f"{directory.name}-wrapper.sh"
    program.write_bytes(wrapper())
    command = (sys.executable, "-I", "-S", str(program), "-q", "TEST_ARC", "-j", "managed", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=directory, stdout=-1, stderr=-2)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


async def test_a_good_job_leaves_outputs_log_heartbeat_and_list(tmp_path: Path) -> None:
    prepare(tmp_path)
    witness = tmp_path / "witness"
    code, said = await run(tmp_path, "--pilot-user", "ATLAS", "-z", "-t", f"--witness {witness} --storage {STORAGE}/")

    assert (code, said) == (0, "pilot ended with exit code 0\n")
    outputs, log, _ = expected_outputs(ORDER, NUMBER)
    heartbeat = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (heartbeat["jobId"], heartbeat["state"], heartbeat["coreCount"]) == (str(NUMBER), "finished", 8)
    assert isinstance(heartbeat["startTime"], float)
    assert heartbeat["endTime"] >= heartbeat["startTime"] + 0.01
    files = json.loads(heartbeat["xml"])
    assert set(files) == {*outputs, log}
    for lfn, facts in files.items():
        content = (tmp_path / lfn).read_bytes()
        assert (facts["fsize"], facts["adler32"]) == (len(content), f"{zlib.adler32(content):08x}")
        assert facts["surl"] == f"{STORAGE}/mc23_13p6TeV/{lfn}"
    assert files[log]["guid"] == render(ORDER, NUMBER)["logGUID"]
    assert (tmp_path / outputs[0]).stat().st_size == 123
    listed = dict(line.split() for line in (tmp_path / "output.list").read_text().splitlines())
    assert listed == {lfn: facts["surl"] for lfn, facts in files.items()}
    assert count(witness) == {str(NUMBER): 1}
    with tarfile.open(fileobj=io.BytesIO((tmp_path / log).read_bytes())) as tarball:
        assert tarball.getnames() == [f"tarball_PandaJob_{NUMBER}/pilotlog.txt"]


async def test_a_failing_payload_gives_its_code_and_only_the_log(tmp_path: Path) -> None:
    prepare(tmp_path, ORDER.model_copy(update={"fail": 7}))
    code, _ = await run(tmp_path, "--storage", STORAGE)
    heartbeat = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (code, heartbeat["state"], heartbeat["transExitCode"]) == (7, "failed", 7)
    assert (heartbeat["pilotErrorCode"], heartbeat["exeErrorCode"]) == (1305, 7)
    assert list(json.loads(heartbeat["xml"])) == [render(ORDER, NUMBER)["logFile"]]


async def test_a_silent_death_leaves_nothing(tmp_path: Path) -> None:
    prepare(tmp_path, ORDER.model_copy(update={"silent": True}))
    before = names(tmp_path)
    code, _ = await run(tmp_path)
    assert (code, names(tmp_path)) == (1, before)


async def test_a_pilot_with_network_sends_its_files_itself(tmp_path: Path) -> None:
    prepare(tmp_path)
    shelf = Shelf(Files(), Inputs(), Manners())
    async with TestServer(shelf.app()) as storage:
        code, _ = await run(tmp_path, "--upload", "--storage", str(storage.make_url("/data")))
    outputs, log, _ = expected_outputs(ORDER, NUMBER)
    assert code == 0
    assert {file.path for file in shelf.files.listed()} == {f"data/mc23_13p6TeV/{lfn}" for lfn in (*outputs, log)}


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"short"), "has 5 bytes, not 1000"),
        (lambda path: path.write_bytes(b"x" * 1000), "has adler32"),
    ],
    ids=["missing", "wrong size", "wrong checksum"],
)
def test_a_bad_input_is_a_stage_in_error_and_no_execution(
    tmp_path: Path, spoil: Callable[[Path], object], complaint: str
) -> None:
    prepare(tmp_path)
    spoil(tmp_path / inputs_of(ORDER, NUMBER)[1].lfn)
    witness = tmp_path / "witness"
    assert pilot_run.run_pilot(["--witness", str(witness)], tmp_path) == 1
    heartbeat = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (heartbeat["state"], heartbeat["pilotErrorCode"]) == ("failed", 1099)
    assert complaint in heartbeat["pilotErrorDiag"]
    assert not witness.exists()


def test_the_same_job_always_gives_the_same_outputs() -> None:
    job = pilot.parse_job(urlencode(render(ORDER, NUMBER)))
    first, second = (pilot.produce(job, pilot.PilotArguments(), pilot.Ran(0.0, end)) for end in (1.0, 2.0))
    outputs, log, _ = expected_outputs(ORDER, NUMBER)
    assert all(first.files[lfn] == second.files[lfn] for lfn in [*outputs, log])
    other = pilot.produce(job | {"PandaID": "1"}, pilot.PilotArguments(), pilot.Ran(0.0, 1.0))
    assert other.files[outputs[0]] != first.files[outputs[0]]


def test_absent_values_are_empty_and_a_job_without_number_is_no_job() -> None:
    assert pilot.parse_job("PandaID=1&maxWalltime=None&transferType=NULL") == {
        "PandaID": "1",
        "maxWalltime": "",
        "transferType": "",
    }
    with pytest.raises(ValueError, match="no PandaID"):
        pilot.parse_job("jobName=x")
