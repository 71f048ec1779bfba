"""The signatures of the legacy methods, and how Python binds and converts what a form or a JSON text brings."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from act_core.simulators.panda_fields import UPDATE_JOB

_TEN_DIGITS = 10**10 - 1  # what its columns hold
_KILO = 1024


@dataclass(frozen=True, slots=True)
class Signature:
    """What a method takes: required and optional names."""

    required: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()


class Unfit(Exception):
    """A value that the database does not take: StatusCode 30."""


def _takes(required: str = "", optional: str = "") -> Signature:
    return Signature(tuple(required.split()), frozenset(optional.split()))


SIGNATURES: Mapping[str, Signature] = {
    "isAlive": _takes(),
    "getVomsAttr": _takes(),
    "getJob": _takes(
        "siteName",
        "token timeout cpu mem diskSpace prodSourceLabel node computingElement AtlasRelease prodUserID getProxyKey "
        "countryGroup workingGroup allowOtherCountry taskID nJobs background resourceType harvester_id worker_id "
        "schedulerID jobType viaTopic remaining_time",
    ),
    "updateJob": _takes(
        "jobId state",
        "token transExitCode pilotErrorCode pilotErrorDiag timestamp timeout xml node workdir cpuConsumptionTime "
        "cpuConsumptionUnit remainingSpace schedulerID pilotID siteName messageLevel pilotLog metaData "
        "cpuConversionFactor exeErrorCode exeErrorDiag pilotTiming computingElement startTime endTime nEvents "
        "nInputFiles batchID attemptNr jobMetrics stdout jobSubStatus coreCount maxRSS maxVMEM maxSWAP maxPSS avgRSS "
        "avgVMEM avgSWAP avgPSS totRCHAR totWCHAR totRBYTES totWBYTES rateRCHAR rateWCHAR rateRBYTES rateWBYTES "
        "corruptedFiles meanCoreCount cpu_architecture_level grid source_site destination_site",
    ),
    "updateJobsInBulk": _takes("jobList", "harvester_id"),
    "getStatus": _takes("ids", "timeout"),
    "checkJobStatus": _takes("ids", "timeout"),
    "get_job_statistics_per_site_label_resource": _takes("", "time_window"),
    "harvesterIsAlive": _takes("harvesterID", "data"),
    "updateWorkers": _takes("harvesterID workers"),
}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_SPELLED = {_plain(name): name for name in SIGNATURES["updateJob"].optional - {"timeout"}}
# argument of the new API's update_job: what the legacy one calls it
_NAMES: Mapping[str, str] = {
    name: _SPELLED[_plain(name)] for name in UPDATE_JOB.parameters if _plain(name) in _SPELLED
} | {"job_output_report": "xml"}
_SLICED = frozenset(
    {"node", "pilotErrorDiag", "jobMetrics", "pilotID", "batchID", "exeErrorDiag", "pilotLog", "metaData", "stdout"}
)
_SOFT_CODES = ("transExitCode", "pilotErrorCode")  # dropped when they are no numbers


def bound(method: str, given: Mapping[str, object], lacks: Collection[str] = ()) -> None:
    """Raises TypeError in the interpreter's words, as the call of a Python function does."""
    signature = SIGNATURES[method]
    for name in given:
        if name in lacks or (name not in signature.required and name not in signature.optional):
            raise TypeError(f"{method}() got an unexpected keyword argument '{name}'")
    missing = [repr(name) for name in signature.required if name not in given]
    if missing:
        s = "s" if len(missing) > 1 else ""
        raise TypeError(f"{method}() missing {len(missing)} required positional argument{s}: {' and '.join(missing)}")


def arguments_of(report: Mapping[str, object]) -> dict[str, object]:
    """Bound ones as those of the new API's update_job. Raises TypeError, ValueError, OverflowError, Unfit."""
    attempt = report.get("attemptNr")
    arguments: dict[str, object] = {
        "job_id": int(str(report["jobId"])),
        "job_status": report["state"],
        "attempt_nr": int(attempt) if isinstance(attempt, str | int) and str(attempt).lstrip("-").isdigit() else None,
    }
    int(str(report.get("timeout", 60)))
    for name, legacy in _NAMES.items():
        value = report.get(legacy)
        if value is not None and value != "":
            arguments[name] = _converted(name, legacy, value)
    return arguments


def _converted(name: str, legacy: str, value: object) -> object:
    if legacy in _SLICED and not isinstance(value, str):
        raise TypeError(f"'{type(value).__name__}' object is not subscriptable")
    if name.startswith("tot_"):
        return min(_TEN_DIGITS * _KILO, _int(value))
    if name.startswith("rate_"):
        return min(_TEN_DIGITS, _int(value, float)) * _KILO  # kept as it comes, where the new API divides
    if name.startswith("avg_"):
        return _int(value, float)
    kinds = UPDATE_JOB.parameters[name].kinds
    if str in kinds:
        return str(value)
    return _column(legacy, value, whole=float not in kinds)


def _int(value: object, first: Callable[[str], float] | None = None) -> int:
    return int(first(str(value))) if first else int(str(value))


def _column(legacy: str, value: object, *, whole: bool) -> object:
    try:
        number = float(str(value))
        return int(number) if whole or number.is_integer() else number
    except (ValueError, OverflowError):
        if legacy in _SOFT_CODES:
            return None
        raise Unfit(legacy) from None
