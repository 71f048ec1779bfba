"""What a simulated CE runs unless told otherwise: the pilot for jobs that carry a PanDA job, else a plain payload."""

from act_core.simulators.arc_payload import PANDA_JOB_FILE, PayloadJob, PayloadResult, plain_payload
from act_core.simulators.pilot_payload import pilot_payload


async def native_payload(job: PayloadJob) -> PayloadResult:
    return await (pilot_payload(job) if PANDA_JOB_FILE in job.inputs else plain_payload(job))
