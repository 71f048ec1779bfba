"""What a simulated CE runs: the pilot for jobs that carry a PanDA job, else what plays or really runs the others."""

from act_core.simulators.arc_payload import PANDA_JOB_FILE, PayloadJob, PayloadResult, plain_payload
from act_core.simulators.arc_process import real_payload
from act_core.simulators.pilot import parse_arguments
from act_core.simulators.pilot_payload import pilot_payload


async def native_payload(job: PayloadJob) -> PayloadResult:
    """Nothing is run but true pilots whose program is there: they speak to PanDA themselves."""
    if PANDA_JOB_FILE not in job.inputs:
        return await plain_payload(job)
    return await (real_payload(job) if _speaks(job) else pilot_payload(job))


async def running_payload(job: PayloadJob) -> PayloadResult:
    """A real native pilot would want a whole grid around it: it is played here, too."""
    return await (real_payload(job) if PANDA_JOB_FILE not in job.inputs or _speaks(job) else pilot_payload(job))


def _speaks(job: PayloadJob) -> bool:
    """Whether it is a true pilot that can be run."""
    try:
        return parse_arguments(job.arguments).true and isinstance(job.inputs.get(job.executable), bytes)
    except ValueError:
        return False
