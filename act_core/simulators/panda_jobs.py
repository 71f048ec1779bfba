"""The jobs that PanDA's simulator hands out: an order says what is wanted, a job is made when somebody asks for it."""

import uuid
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from act_core.simulators.contents import adler32, generated
from act_core.simulators.pilot_ways import AFTER_RUNNING, checked

JobValue = str | int | None
Kind = Literal["production", "analysis", "test"]

LABELS = {"production": "managed", "analysis": "user", "test": "prod_test"}
HIGH_MEMORY_MB = 2000  # per core: above it, the resource type is _HIMEM


class InputName(BaseModel):
    """An input file, as it is registered with a storage."""

    model_config = ConfigDict(frozen=True)
    scope: str
    lfn: str
    size: int = Field(ge=0)  # bytes


class JobOrder(BaseModel):
    """`n` jobs alike, as a person orders them on the control port."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: str = Field(min_length=1)
    n: int = Field(default=1, ge=1, le=1_000_000)
    kind: Kind = "production"
    label: str | None = None  # prodSourceLabel, if not the kind's
    cores: int = Field(default=1, ge=1)
    memory_mb: int = Field(default=2000, ge=0)  # the whole job's
    cpu_s: int = Field(default=7200, ge=0)  # maxCpuCount
    walltime_s: int | None = None
    disk_mb: int = Field(default=500, ge=0)
    priority: int = 900
    task: int = Field(default=4711, ge=1)
    attempt: int = Field(default=1, ge=0)
    user: str = "/DC=test/DC=simulated/OU=Users/CN=Jane Analyst"
    inputs: int = Field(default=0, ge=0, le=100)
    input_size: int = Field(default=1000, ge=0)
    shared_inputs: bool = False  # all jobs of the order read the same files
    outputs: int = Field(default=1, ge=0, le=100)
    output_size: int = Field(default=1000, ge=0)
    run_s: float = Field(default=0.5, ge=0)
    fail: int = Field(default=0, ge=0, le=255)  # exit code of the payload
    silent: bool = False  # the pilot dies without a trace, once the payload runs
    die: str = ""  # another way for the pilot to die (pilot_ways)
    extra: dict[str, str | int] = Field(default_factory=dict)  # fields that replace or extend the job's

    @field_validator("die")
    @classmethod
    def _known_way(cls, way: str) -> str:
        return checked(way)

    @model_validator(mode="after")
    def _no_own_id(self) -> "JobOrder":
        if "PandaID" in self.extra:
            raise ValueError("PandaID is PanDA's to give")
        return self

    @cached_property
    def source_label(self) -> str:
        return self.label or LABELS[self.kind]

    @cached_property
    def resource_type(self) -> str:
        cores = "SCORE" if self.cores == 1 else "MCORE"
        return f"{cores}_HIMEM" if self.memory_mb > HIGH_MEMORY_MB * self.cores else cores


def inputs_of(order: JobOrder, number: int) -> list[InputName]:
    """The input files of one job."""
    owner = "shared" if order.shared_inputs else f"_{number:09d}"
    return [
        InputName(scope=_scope(order), lfn=f"EVNT.{order.task}.{owner}_{i}.pool.root.1", size=order.input_size)
        for i in range(1, order.inputs + 1)
    ]


def render(order: JobOrder, number: int) -> dict[str, JobValue]:
    """The job as acquire_jobs sends it (reference: panda.md 2.3); lists are comma-joined, in step with each other."""
    return _head(order, number) | _input_fields(order, number) | _output_fields(order, number) | order.extra


def _head(order: JobOrder, number: int) -> dict[str, JobValue]:
    analysis = order.kind == "analysis"
    die = order.die or (AFTER_RUNNING if order.silent else "")
    pars = f"--sleep {order.run_s:g} --size {order.output_size} --fail {order.fail}" + (f" --die {die}" if die else "")
    return {
        "StatusCode": 0, "PandaID": number, "attemptNr": order.attempt, "prodSourceLabel": order.source_label,
        "coreCount": order.cores, "minRamCount": order.memory_mb, "maxCpuCount": order.cpu_s,
        "maxWalltime": order.walltime_s,
        "maxDiskCount": order.disk_mb, "resource_type": order.resource_type, "currentPriority": order.priority,
        "jobName": f"{_scope(order)}.{order.task}.simul.{number}", "jobDefinitionID": order.task * 10,
        "taskID": order.task, "reqID": order.task, "jobsetID": order.task * 100, "cloud": "ND",
        "processingType": {"production": "simul", "analysis": "panda-client", "test": "gangarobot-pft"}[order.kind],
        "transferType": "NULL", "sourceSite": "NULL", "nucleus": "TEST-NUCLEUS", "destinationSE": "TEST-SITE",
        "prodUserID": order.user, "swRelease": "Atlas-24.0.1", "homepackage": "AthSimulation/24.0.1",
        "cmtConfig": "x86_64-el9-gcc13-opt", "transformation": "runAthena" if analysis else "Sim_tf.py",
        "jobPars": pars, "ioIntensity": 0, "ioIntensityUnit": "kBPerS", "nSent": 0, "loopingCheck": None,
    }  # fmt: skip


def _input_fields(order: JobOrder, number: int) -> dict[str, JobValue]:
    files = inputs_of(order, number)
    n = len(files)
    dataset = f"EVNT.{order.task}"
    checksums = ("ad:" + adler32(generated(file.lfn, file.size)) for file in files)
    return {
        "inFiles": ",".join(file.lfn for file in files), "scopeIn": ",".join(file.scope for file in files),
        "GUID": ",".join(_guid(file.lfn) for file in files), "fsize": ",".join(str(file.size) for file in files),
        "checksum": ",".join(checksums), "realDatasetsIn": _same(dataset, n), "prodDBlocks": _same(dataset, n),
        "prodDBlockToken": _same("NULL", n), "dispatchDblock": _same("NULL", n),
        "dispatchDBlockToken": _same("NULL", n), "ddmEndPointIn": _same("TEST-SITE_DATADISK", n),
    }  # fmt: skip


def _output_fields(order: JobOrder, number: int) -> dict[str, JobValue]:
    scope = _scope(order)
    log = f"log.{order.task}._{number:09d}.job.log.tgz"
    outputs = [f"HITS.{order.task}._{number:09d}_{i}.pool.root.1" for i in range(1, order.outputs + 1)]
    n = len(outputs) + 1
    return {
        "outFiles": ",".join([*outputs, log]), "realDatasets": _same(f"HITS.{order.task}", n),
        "destinationDblock": _same(f"HITS.{order.task}_sub", n), "destinationDBlockToken": _same("NULL", n),
        "dispatchDBlockTokenForOut": _same("NULL", n), "fileDestinationSE": _same("TEST-SITE", n),
        "ddmEndPointOut": _same("TEST-SITE_DATADISK", n), "scopeOut": _same(scope, n - 1), "scopeLog": scope,
        "logFile": log, "logGUID": _guid(log),
    }  # fmt: skip


def expected_outputs(order: JobOrder, number: int) -> tuple[list[str], str, list[str]]:
    """Outputs without the log, the log, the inputs: what the adder compares a report with."""
    fields = _output_fields(order, number) | order.extra
    log = str(fields["logFile"])
    outputs = [lfn for lfn in str(fields["outFiles"]).split(",") if lfn not in ("", log)]
    return outputs, log, [file.lfn for file in inputs_of(order, number)]


def _scope(order: JobOrder) -> str:
    return "user.jane" if order.kind == "analysis" else "mc23_13p6TeV"


def _same(word: str, n: int) -> str:
    return ",".join([word] * n)


def _guid(lfn: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, lfn)).upper()
