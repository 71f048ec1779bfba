"""What a simulated CE runs: the pilot for jobs that carry a PanDA job, else what plays or really runs the others."""

from act_core.simulators.arc_payload import PANDA_JOB_FILE, PayloadJob, PayloadResult, plain_payload
from act_core.simulators.arc_process import real_payload
from act_core.simulators.pilot_payload import pilot_payload


async def native_payload(job: PayloadJob) -> PayloadResult:
    """Nothing is run."""
    return await (pilot_payload(job) if PANDA_JOB_FILE in job.inputs else plain_payload(job))


async def running_payload(job: PayloadJob) -> PayloadResult:
    """A real pilot would want a whole grid around it: it is played here, too."""
    return await (pilot_payload(job) if PANDA_JOB_FILE in job.inputs else real_payload(job))
