"""The control files of a job that `diagnose/<name>` shows."""

from collections.abc import Callable, Iterator, Mapping

from act_core.simulators.arc_records import Job, internal_word

ReadFile = Callable[[Job], str | None]


def _failed(job: Job) -> str | None:
    return f"{job.failure}\n" if job.failure and job.over else None


def _local(job: Job) -> str:
    given = {
        "globalid": job.id,
        "interface": "org.nordugrid.arcrest",
        "lrms": "fork",
        "queue": job.about.queue,
        "subject": job.owner,
        "starttime": f"{job.created:%Y%m%d%H%M%SZ}",
        "rerun": str(job.reruns),
        "downloads": str(sum(bool(one.sources) for one in job.about.inputs)),
        "uploads": str(sum(one.target is not None for one in job.about.outputs)),
        "jobname": job.about.name,
        "clientname": job.client,
        "delegationid": job.delegations[0] if job.delegations else "",
        "failedstate": job.failed_state,
        "failedcause": _cause(job),
        "transfershare": "_default",
        "priority": "50",
    }
    return "".join(f"{key}={value}\n" for key, value in given.items() if value)


def _cause(job: Job) -> str:
    if not job.failed_state:
        return ""
    return "client" if job.cancelled else "internal"


def _diag(job: Job) -> str | None:
    """Usage is written by the job's wrapper at the end of the run; a killed job never gets there."""
    if job.started is None:
        return None
    lines = {"runtimeenvironments": "", "nodename": job.node, "Processors": str(job.about.cores)}
    if job.result is not None and job.left_batch is not None:
        wall = (job.left_batch - job.started).total_seconds()
        lines |= {
            "LRMSStartTime": f"{job.started:%Y%m%d%H%M%SZ}",
            "WallTime": f"{wall:.2f}s",
            "KernelTime": "0.00s",
            "UserTime": f"{job.result.cpu_s:.2f}s",
            "MaxResidentMemory": f"{job.result.memory_kb}kB",
            "AverageTotalMemory": f"{job.result.memory_kb}kB",
            "LRMSEndTime": f"{job.left_batch:%Y%m%d%H%M%SZ}",
            "walltime": str(round(wall)),
            "exitcode": str(job.result.exit_code),
        }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _input(job: Job) -> Iterator[str]:
    for one in job.about.inputs:
        yield f"/{one.name} {one.sources[0] if one.sources else '*.*'}"


def _output(job: Job) -> Iterator[str]:
    for one in job.about.outputs:
        yield f"/{one.name.lstrip('/')} {one.target or ''}".rstrip()


def _lined(lines: Callable[[Job], Iterator[str]]) -> ReadFile:
    return lambda job: "".join(f"{line}\n" for line in lines(job))


def _absent(_: Job) -> None:
    return None


# the text of each file; None: the file is not there
CONTROL_FILES: Mapping[str, ReadFile] = {
    "failed": _failed,
    "local": _local,
    "errors": _lined(lambda job: iter(job.log)),
    "description": lambda job: job.text,
    "diag": _diag,
    "comment": _absent,
    "status": internal_word,
    "acl": _absent,
    "input": _lined(_input),
    "output": _lined(_output),
    "input_status": _lined(lambda job: (f"/{name}" for name in job.arrived)),
    "output_status": _absent,
    "statistics": _absent,
}
