"""The pilot as the payload of a simulated CE: the same results without a process."""

import time

from act_core.simulators.arc_payload import PayloadJob, PayloadResult
from act_core.simulators.pilot import (
    JOB_FILE,
    Ran,
    check_inputs,
    parse_arguments,
    parse_job,
    payload_order,
    produce,
    refused_input,
    way_of,
)
from act_core.simulators.pilot_ways import HANG

BUSY = 0.9  # of the wall time, on each core
MEMORY_KB = 200_000
FOR_EVER_S = 86_400.0  # hangs a pilot whose job names no wall time


async def pilot_payload(job: PayloadJob) -> PayloadResult:
    """What `pilot_run.run_pilot` would leave in the job's directory; it runs as long as the job's parameters say.

    Inputs that the CE only pretended to fetch are taken for good. The CE is the one to testify that it ran.
    """
    given = job.inputs.get(JOB_FILE)
    try:
        panda_job = parse_job(given.decode() if isinstance(given, bytes) else "")
        told = parse_arguments(job.arguments)
        order, way = payload_order(panda_job), way_of(panda_job, told, job.environment)
    except ValueError as error:
        return PayloadResult(1, _said(job, f"pilot: {error}"), wall_s=0.0)

    def read(name: str) -> bytes | None:
        content = job.inputs.get(name)
        return content if isinstance(content, bytes) else None

    unseen = {name for name, content in job.inputs.items() if isinstance(content, str)}
    problem = check_inputs(panda_job, read, unseen) or refused_input(way)
    hangs = job.walltime_s or FOR_EVER_S
    wall = 0.0 if problem else hangs if way == HANG else order.sleep
    start, cpu = time.time(), wall * BUSY * job.cores
    ran = Ran(start, start + wall, cpu, job.node, problem, environment=job.environment)
    produced = produce(panda_job, told, ran)
    said = _said(job, f"pilot ended with exit code {produced.exit_code}")
    return PayloadResult(produced.exit_code, produced.files | said, cpu, wall, MEMORY_KB)


def _said(job: PayloadJob, text: str) -> dict[str, bytes]:
    return {job.stdout: f"{text}\n".encode()} if job.stdout else {}
