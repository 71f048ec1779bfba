"""What the tower tells PanDA, and what PanDA answers (reference: panda.md 3): the exact types of the new API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

INVALID = 50  # StatusCode
UNKNOWN_FIELD, _WRONG_TYPE = "Argument error: got an unexpected keyword argument ", "Type error: "
_OURS = ("Argument error", "Type error", "Invalid job status")  # how refusals begin that no repetition mends
# Codes of what the server could not do now: its database was too slow, had no answer, failed.
_LATER_CODES = frozenset({10, 20, 30})
_NEEDED = frozenset({"job_id", "job_status", "attempt_nr", "job_output_report"})  # without these it is another report

JobStatusWord = Literal["starting", "running", "transferring", "holding", "finished", "failed"]


def _cut(length: int | None = None) -> AfterValidator:
    """Databases refuse NUL, and more than the column holds."""
    return AfterValidator(lambda given: given.replace("\x00", "")[:length])


def as_text(moment: datetime | None) -> str | None:
    """The only form of a time that PanDA does not drop in silence."""
    return None if moment is None else moment.astimezone(UTC).strftime(TIME_FORMAT)


_Column20 = Annotated[str, _cut(20)]
_Column36 = Annotated[str, _cut(36)]
_Column80 = Annotated[str, _cut(80)]
_Column100 = Annotated[str, _cut(100)]
_Column128 = Annotated[str, _cut(128)]
_Column200 = Annotated[str, _cut(200)]
_Column500 = Annotated[str, _cut(500)]
_Kilobyte = Annotated[str, _cut(1024)]
_Long = Annotated[str, _cut()]
_Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")]
_Amount = int | Annotated[float, Field(allow_inf_nan=False)]


class Update(BaseModel):
    """One report about one job: the allow-list of `pilot/update_job`; an unknown key would refuse all of it.

    Times are UTC, memory in kB, input and output in bytes. `batch_id` is left out on purpose: one that differs from
    the pilot's gets the job killed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    job_id: int = Field(gt=0)
    job_status: JobStatusWord
    attempt_nr: int | None = None
    job_sub_status: _Column80 | None = None
    site_name: _Long | None = None
    node: _Column128 | None = None
    scheduler_id: _Column128 | None = None
    pilot_id: _Column200 | None = None
    start_time: _Time | None = None
    end_time: _Time | None = None
    trans_exit_code: int | None = None
    pilot_error_code: int | None = None
    pilot_error_diag: _Column500 | None = None
    exe_error_code: int | None = None
    exe_error_diag: _Column500 | None = None
    n_events: int | None = None
    n_input_files: int | None = None
    cpu_consumption_time: int | None = None
    cpu_consumption_unit: _Column128 | None = None
    cpu_conversion_factor: _Amount | None = None
    cpu_architecture_level: _Column20 | None = None
    core_count: int | None = None
    mean_core_count: int | None = None
    job_metrics: _Column500 | None = None
    pilot_timing: _Column100 | None = None
    max_rss: _Amount | None = None
    max_vmem: _Amount | None = None
    max_swap: _Amount | None = None
    max_pss: _Amount | None = None
    avg_rss: _Amount | None = None
    avg_vmem: _Amount | None = None
    avg_swap: _Amount | None = None
    avg_pss: _Amount | None = None
    tot_rchar: _Amount | None = None
    tot_wchar: _Amount | None = None
    tot_rbytes: _Amount | None = None
    tot_wbytes: _Amount | None = None
    rate_rchar: _Amount | None = None
    rate_wchar: _Amount | None = None
    rate_rbytes: _Amount | None = None
    rate_wbytes: _Amount | None = None
    corrupted_files: _Long | None = None
    grid: _Long | None = None
    source_site: _Column36 | None = None
    destination_site: _Column36 | None = None
    pilot_log: _Kilobyte | None = None
    meta_data: _Long | None = None
    stdout: _Long | None = None
    job_output_report: _Long | None = None

    def body(self) -> dict[str, object]:
        """As the server binds it."""
        return self.model_dump(exclude_none=True)


# What numbers can be, from least to most; a column that cannot hold one fails the whole report, for ever.
LIMITS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("max_", "avg_"), (0, 10**11 - 1)),  # kB
    "tot_": (0, 10**15),  # bytes
    "rate_": (0, 10**12),  # bytes a second
    "cpu_conversion_factor": (0, 10**4),
    "cpu_consumption_time": (0, 2**31 - 1),
    "n_events": (0, 2**31 - 1),
    "n_input_files": (0, 10**6 - 1),
    "core_count": (0, 10**6 - 1),
    "mean_core_count": (0, 10**6 - 1),
    **dict.fromkeys(("trans_exit_code", "pilot_error_code", "exe_error_code"), (1 - 10**6, 10**6 - 1)),
}


def fits(name: str, value: object) -> bool:
    """Whether PanDA's column for this field of an Update can hold the value; texts are cut, and fit."""
    if not isinstance(value, int | float):
        return True
    least, most = next((held for begin, held in LIMITS.items() if name.startswith(begin)), (value, value))
    return least <= value <= most  # nothing is so for NaN


class Outcome(StrEnum):
    """What became of a report."""

    ACCEPTED = "accepted"
    LATER = "later"  # no usable answer: send it again
    REFUSED = "refused"  # PanDA will never take it as it is: our bug


@dataclass(frozen=True, slots=True)
class UpdateAnswer:
    """PanDA's answer to one report. Commands come joined by commas: they are looked for, not compared.

    `left_out`: fields without which it was told, since PanDA did not take them: our bug.
    """

    outcome: Outcome
    command: str = ""
    message: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def kill(self) -> bool:
        """PanDA wants it dead, or does not know the job or this attempt (any more)."""
        return "tobekilled" in self.command or "badattemptnr" in self.command

    @property
    def already_done(self) -> bool:
        """PanDA has the final report."""
        return "alreadydone" in self.command

    @property
    def settled(self) -> bool:
        """Whether a final report needs no further sending: only after a clear yes, whatever it commands."""
        return self.outcome is Outcome.ACCEPTED


def read_answer(element: object) -> UpdateAnswer:
    """One element of the bulk answer; whatever it is not, it never counts as accepted.

    A command counts only with a success: with a timeout of the database nothing is known, and what is meant is said
    again to the next report (panda.md 3.1, 3.3, 6.5).
    """
    if not isinstance(element, Mapping):
        return UpdateAnswer(Outcome.LATER, message=f"an answer of type {type(element).__name__}")
    message = str(element.get("message") or "")[:500]
    data = element.get("data")
    code = data.get("StatusCode") if isinstance(data, Mapping) else None
    command = data.get("command") if isinstance(data, Mapping) else None
    if element.get("success") is True and code == 0:
        return UpdateAnswer(
            Outcome.ACCEPTED, command if isinstance(command, str) and command != "NULL" else "", message
        )
    refused = code == INVALID or (
        element.get("success") is False and code not in _LATER_CODES and message.startswith(_OURS)
    )
    return UpdateAnswer(Outcome.REFUSED if refused else Outcome.LATER, message=message or f"StatusCode {code}")


def offending(message: str) -> str | None:
    """The field that a refusal names, if a report can do without it."""
    if not message.startswith((UNKNOWN_FIELD, _WRONG_TYPE)):
        return None
    name = message.partition("'")[2].partition("'")[0]
    return name if name in Update.model_fields and name not in _NEEDED else None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What PanDA says of a job: active ones and the recent archive."""

    panda_id: int
    status: str
    attempt_nr: int

    @property
    def known(self) -> bool:
        return self.status != "not found"


@dataclass(frozen=True, slots=True)
class ActiveJobs:
    """A number in PanDA's statistics of a queue."""

    resource_type: str
    label: str
    status: str
    count: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """What PanDA thinks of our identity."""

    dn: str
    fqans: tuple[str, ...]
    production: bool


def as_stamp(moment: datetime | None) -> str | None:
    """The form of a time in which PanDA's harvester part takes it."""
    return None if moment is None else f"datetime/{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


WorkerStatus = Literal["submitted", "ready", "running", "idle", "finished", "failed", "cancelled", "missed", "pending"]
_Stamp = Annotated[str, Field(pattern=r"^datetime/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$")]


class Worker(BaseModel):
    """An attempt as `harvester/update_workers` takes it: links CE, batch id and logs to PanDA's page of a job.

    `syncLevel` and `errorCode` are left out on purpose: with them a worker's end fails its job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    worker_id: int = Field(ge=1, serialization_alias="workerID")
    status: WorkerStatus
    queue: str = Field(serialization_alias="computingSite")
    ce: _Column128 | None = Field(default=None, serialization_alias="computingElement")
    batch_id: _Column80 | None = Field(default=None, serialization_alias="batchID")
    cores: int | None = Field(default=None, serialization_alias="nCore")
    node: _Column80 | None = Field(default=None, serialization_alias="nodeID")
    submitted: _Stamp | None = Field(default=None, serialization_alias="submitTime")
    started: _Stamp | None = Field(default=None, serialization_alias="startTime")
    ended: _Stamp | None = Field(default=None, serialization_alias="endTime")
    native_status: _Column80 | None = Field(default=None, serialization_alias="nativeStatus")
    stdout_url: str | None = Field(default=None, serialization_alias="stdOut")
    log_url: str | None = Field(default=None, serialization_alias="batchLog")
    problem: _Column500 | None = Field(default=None, serialization_alias="diagMessage")
    panda_ids: tuple[int, ...] = Field(default=(), serialization_alias="pandaid_list")

    def body(self) -> dict[str, object]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
