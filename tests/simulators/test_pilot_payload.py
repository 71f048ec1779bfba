"""The pilot as a payload gives what the pilot as a process gives."""

import json
from pathlib import Path
from urllib.parse import urlencode

from act_core.simulators import pilot, pilot_run
from act_core.simulators.arc_payload import PayloadJob, PayloadResult
from act_core.simulators.contents import generated
from act_core.simulators.panda_jobs import JobOrder, expected_outputs, inputs_of, render
from act_core.simulators.pilot_payload import pilot_payload

ORDER = JobOrder(queue="TEST_ARC", inputs=2, outputs=2, run_s=3600)
NUMBER = 6_000_000_009
ARGUMENTS = ("-q", "TEST_ARC", "--storage https://storage.test.example/data --witness /nowhere/at/all")


async def run(order: JobOrder, inputs: dict[str, bytes | str]) -> PayloadResult:
    job_file = {pilot.JOB_FILE: urlencode(render(order, NUMBER)).encode()}
    job = PayloadJob(
        "job", "wrapper.sh", ARGUMENTS, {"GTAG": "https://log"}, job_file | inputs, {}, "log.txt", node="wn7"
    )
    return await pilot_payload(job)


def good_inputs() -> dict[str, bytes | str]:
    first, second = inputs_of(ORDER, NUMBER)
    return {first.lfn: generated(first.lfn, first.size), second.lfn: "https://pretended.test.example/replica"}


async def test_a_payload_leaves_the_files_of_the_process_without_waiting(tmp_path: Path) -> None:
    result = await run(ORDER, good_inputs())
    assert (result.exit_code, result.wall_s) == (0, 3600)
    quick = ORDER.model_copy(update={"run_s": 0})
    (tmp_path / pilot.JOB_FILE).write_text(urlencode(render(quick, NUMBER)))
    for file in inputs_of(quick, NUMBER):
        (tmp_path / file.lfn).write_bytes(generated(file.lfn, file.size))
    pilot_run.run_pilot(["-q", "TEST_ARC", "--storage", "https://storage.test.example/data"], tmp_path)
    outputs, log, _ = expected_outputs(ORDER, NUMBER)
    for name in (*outputs, log, "output.list"):
        assert result.files[name] == (tmp_path / name).read_bytes()
    heartbeat = json.loads(result.files["heartbeat.json"])
    assert heartbeat["endTime"] == heartbeat["startTime"] + 3600
    assert (heartbeat["node"], heartbeat["cpuConsumptionTime"]) == ("wn7", 3240)
    assert heartbeat["pilotID"].startswith("https://log|")
    assert heartbeat.keys() == json.loads((tmp_path / "heartbeat.json").read_text()).keys()
    assert result.files["log.txt"] == b"pilot ended with exit code 0\n"


async def test_missing_inputs_a_failing_payload_and_no_job_at_all() -> None:
    missing = await run(ORDER, {})
    assert json.loads(missing.files["heartbeat.json"])["pilotErrorCode"] == pilot.STAGE_IN_FAILED
    failing = await run(ORDER.model_copy(update={"fail": 9}), good_inputs())
    assert (missing.exit_code, missing.wall_s, failing.exit_code) == (1, 0.0, 9)
    senseless = await run(ORDER.model_copy(update={"extra": {"jobPars": "--sleep well"}}), good_inputs())
    assert (senseless.exit_code, list(senseless.files)) == (1, ["log.txt"])
    nothing = await pilot_payload(PayloadJob("job", "wrapper.sh", (), {}, {}, {}, "log.txt"))
    assert (nothing.exit_code, nothing.files) == (1, {"log.txt": b"pilot: pandaJobData.out holds no PandaID\n"})
