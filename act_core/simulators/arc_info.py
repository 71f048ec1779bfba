"""Information documents: of a job, as old as the provider's last run, and of the CE (GLUE2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

from act_core.simulators.arc_records import Job
from act_core.simulators.arc_wire import ATTRIBUTES, TRAITS, Flavour, Tree

KEPT = timedelta(days=7)
DELEGATED_FOR = timedelta(hours=12)
VALIDITY_S = 10800
TERMINAL = ("FINISHED", "FAILED", "KILLED")
_BEGUN = ("RUNNING", "EXITINGLRMS", "EXECUTED", "FINISHING", "FINISHED", "FAILED")
_LEFT_BATCH = ("FINISHING", "FINISHED", "FAILED")
# REST state: NorduGrid's word, BES, EMI-ES, its attributes
_WORDS: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "ACCEPTING": ("ACCEPTED", "Pending", "accepted", ("client-stagein-possible",)),
    "ACCEPTED": ("ACCEPTED", "Pending", "accepted", ("client-stagein-possible",)),
    "PREPARING": ("PREPARING", "Running", "preprocessing", ("client-stagein-possible", "server-stagein")),
    "PREPARED": ("PENDING:PREPARING", "Running", "preprocessing", ("client-stagein-possible",)),
    "SUBMITTING": ("SUBMIT", "Running", "processing-accepting", ()),
    "QUEUING": ("INLRMS:Q", "Running", "processing-queued", ()),
    "RUNNING": ("INLRMS:R", "Running", "processing-running", ("app-running",)),
    "OTHER": ("INLRMS", "Running", "processing-running", ("app-running",)),
    "EXECUTED": ("INLRMS:O", "Running", "processing-running", ()),
    "FINISHING": ("FINISHING", "Running", "postprocessing", ("client-stageout-possible", "server-stageout")),
    "KILLING": ("CANCELING", "Running", "processing", ("processing-cancel",)),
    "FINISHED": ("FINISHED", "Finished", "terminal", ("client-stageout-possible",)),
    "FAILED": ("FAILED", "Failed", "terminal", ("processing-failure",)),
    "KILLED": ("KILLED", "Cancelled", "terminal", ("processing-cancel",)),
}
_FAILED_IN: Mapping[str, str] = {"INLRMS": "OTHER", "SUBMIT": "SUBMITTING"}


@dataclass(frozen=True)
class Place:
    """Where a document comes from."""

    flavour: Flavour
    host: str
    queue: str


def activity(job: Job, state: str, documented: bool, place: Place) -> dict[str, Tree]:
    """`ComputingActivity` of a job whose late state is `state`."""
    document: dict[str, Tree] = {"ID": f"urn:caid:{place.host}:org.nordugrid.arcrest:{job.id}"}
    if state != "ACCEPTING":
        document["Name"] = job.about.name
    document |= {
        "OtherInfo": "SubmittedVia=org.nordugrid.arcrest",
        "Type": "single",
        "IDFromEndpoint": f"urn:idfe:{job.id}",
        "State": list(_states(state, job.failed_state, place.flavour)) if documented else f"arcrest:{state}",
        "Owner": job.owner,
    }
    if documented:
        document |= _provided(job, state, place)
    return document | {
        ATTRIBUTES: {"BaseType": "Activity", "CreationTime": _stamp(job.created), "Validity": str(VALIDITY_S)},
    }


def _provided(job: Job, state: str, place: Place) -> dict[str, Tree]:
    about = job.about
    given: dict[str, Tree] = {
        "JobDescription": about.language,
        "LocalOwner": "nobody",
        "RequestedSlots": str(about.cores),
        "StdIn": about.stdin or "/dev/null",
        "StdOut": about.stdout or "/dev/null",
        "StdErr": about.stderr or "/dev/null",
        "Queue": about.queue or place.queue,
        "SubmissionTime": _stamp(job.created),
        "ProxyExpirationTime": _stamp(job.created + DELEGATED_FOR),
        "SubmissionHost": job.client or "127.0.0.1",
        "Associations": {"ComputingShareID": f"urn:ogf:ComputingShare:{place.host}:{about.queue or place.queue}"},
    }
    if state in _BEGUN and job.started is not None:
        given |= {"ExecutionNode": job.node, "StartTime": _stamp(job.started), "LocalIDFromManager": _batch_id(job)}
    if state in _LEFT_BATCH and job.left_batch is not None:
        given |= _usage(job) | {"ComputingManagerEndTime": _stamp(job.left_batch)}
    if state in TERMINAL:
        given |= _ending(job, state, place.flavour)
    return given


def _batch_id(job: Job) -> str:
    """Another one for each time that the batch system gets the job."""
    return str(crc32(f"{job.id} {job.executions}".encode()))


def _usage(job: Job) -> dict[str, Tree]:
    assert job.result is not None
    assert job.left_batch is not None
    assert job.started is not None
    return {
        "ExitCode": str(job.result.exit_code),
        "UsedTotalWallTime": str(round((job.left_batch - job.started).total_seconds()) * job.about.cores),
        "UsedTotalCPUTime": str(round(job.result.cpu_s)),
        "UsedMainMemory": str(job.result.memory_kb),
    }


def _ending(job: Job, state: str, flavour: Flavour) -> dict[str, Tree]:
    """EndTime is told of finished jobs only."""
    given: dict[str, Tree] = {}
    if job.failure:
        given["Error"] = job.failure
    if state != "FINISHED" and job.failed_state:
        given["RestartState"] = list(_states(_FAILED_IN.get(job.failed_state, job.failed_state), "", flavour))
    if state == "FINISHED" and job.ended is not None:
        given["EndTime"] = _stamp(job.ended)
    if job.ended is not None:
        given["WorkingAreaEraseTime"] = _stamp(job.ended + KEPT)
    return given


def _states(state: str, failed_in: str, flavour: Flavour) -> Iterator[str]:
    nordugrid, bes, emies, attributes = _WORDS.get(state, _WORDS["ACCEPTED"])
    failed = state in ("FAILED", "KILLED") and failed_in
    yield f"nordugrid:{nordugrid}::{failed_in}" if failed else f"nordugrid:{nordugrid}"
    yield f"file:{failed_in.lower() if failed and state == 'FAILED' else nordugrid.partition(':')[0].lower()}"
    if flavour is Flavour.V6:
        yield f"bes:{bes}"
    yield f"arcrest:{state}"
    if flavour is Flavour.V6:
        yield f"emies:{emies}"
        yield from (f"emiesattr:{attribute}" for attribute in attributes)


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class Load:
    """What the CE has to do."""

    slots: int
    running: int
    waiting: int
    total: int


def computing_element(place: Place, url: str, queues: tuple[str, ...], load: Load) -> dict[str, Tree]:
    """GLUE2 of the CE: one service, one share for each queue. Lists of one are written as their member."""
    host, traits = place.host, TRAITS[place.flavour]
    counts: dict[str, Tree] = {
        "TotalJobs": str(load.total), "RunningJobs": str(load.running), "WaitingJobs": str(load.waiting),
        "StagingJobs": str(load.total - load.running - load.waiting), "SuspendedJobs": "0",
    }  # fmt: skip
    shares: list[Tree] = [
        {
            "ID": f"urn:ogf:ComputingShare:{host}:{queue}", "Name": queue, "MappingQueue": queue,
            "MaxRunningJobs": str(load.slots), "ServingState": "production", **counts,
            "FreeSlots": str(max(0, load.slots - load.running)),
        }
        for queue in queues
    ]  # fmt: skip
    manager: dict[str, Tree] = {
        "ID": f"urn:ogf:ComputingManager:{host}:fork", "ProductName": "fork", "ProductVersion": "0.9",
        "TotalSlots": str(load.slots), "SlotsUsedByLocalJobs": "0", "SlotsUsedByGridJobs": str(load.running),
        "ApplicationEnvironments": "\n            ",
    }  # fmt: skip
    endpoints: list[Tree] = [
        {
            "ID": f"urn:ogf:ComputingEndpoint:{host}:{name}:{url}", "URL": url, "InterfaceName": name,
            "InterfaceVersion": version, "ImplementationName": "nordugrid-arc", "HealthState": "ok",
            "ServingState": "production", "JobDescription": ["nordugrid:xrsl", "emies:adl"], **counts,
            **({"ImplementationVersion": traits.product} if place.flavour is Flavour.V6 else {}),
        }
        for name, version in traits.interfaces
    ]  # fmt: skip
    service: dict[str, Tree] = {
        "ID": f"urn:ogf:ComputingService:{host}:arex", "Name": host, "Type": "org.nordugrid.arex",
        "QualityLevel": "production", **counts,
        "ComputingEndpoint": endpoints, "ComputingShare": shares, "ComputingManager": manager,
        ATTRIBUTES: {"BaseType": "Service", "Validity": str(VALIDITY_S)},
    }  # fmt: skip
    return {"AdminDomain": {"ID": "urn:ad:UNDEFINEDVALUE", "Services": {"ComputingService": service}}}
