"""From the arguments of update_job to the columns of PanDA's job table: names, lengths, units."""

from collections.abc import Mapping
from datetime import datetime

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

# argument: column, longest text kept
COLUMNS: Mapping[str, tuple[str, int | None]] = {
    "job_sub_status": ("jobSubStatus", 80),
    "node": ("modificationHost", 128),
    "scheduler_id": ("schedulerID", None),
    "pilot_id": ("pilotID", 200),
    "batch_id": ("batchID", 80),
    "trans_exit_code": ("transExitCode", None),
    "pilot_error_code": ("pilotErrorCode", None),
    "pilot_error_diag": ("pilotErrorDiag", 500),
    "exe_error_code": ("exeErrorCode", None),
    "exe_error_diag": ("exeErrorDiag", 500),
    "n_events": ("nEvents", None),
    "n_input_files": ("nInputFiles", None),
    "cpu_consumption_time": ("cpuConsumptionTime", None),
    "cpu_consumption_unit": ("cpuConsumptionUnit", None),
    "cpu_conversion_factor": ("cpuConversion", None),
    "cpu_architecture_level": ("cpu_architecture_level", 20),
    "core_count": ("actualCoreCount", None),
    "mean_core_count": ("meanCoreCount", None),
    "job_metrics": ("jobMetrics", 500),
    "pilot_timing": ("pilotTiming", 100),
    "corrupted_files": ("corruptedFiles", None),
    "grid": ("grid", None),
    "source_site": ("sourceSite", None),
    "destination_site": ("destinationSite", 36),
    "max_rss": ("maxRSS", None),
    "max_vmem": ("maxVMEM", None),
    "max_swap": ("maxSWAP", None),
    "max_pss": ("maxPSS", None),
    "avg_rss": ("avgRSS", None),
    "avg_vmem": ("avgVMEM", None),
    "avg_swap": ("avgSWAP", None),
    "avg_pss": ("avgPSS", None),
}
# sent in bytes, kept in kB
BYTES = {
    f"{kind}_{what}": f"{kind}{what.upper()}"
    for kind in ("tot", "rate")
    for what in ("rchar", "wchar", "rbytes", "wbytes")
}
TIMES = {"start_time": "startTime", "end_time": "endTime"}


def columns_of(arguments: Mapping[str, object]) -> dict[str, object]:
    """What one report changes. A time in another form than `YYYY-mm-dd HH:MM:SS` is dropped without a word."""
    columns: dict[str, object] = {}
    for name, value in arguments.items():
        if value is None or value == "":
            continue
        if name in COLUMNS:
            column, longest = COLUMNS[name]
            columns[column] = value[:longest] if isinstance(value, str) else value
        elif name in BYTES and isinstance(value, int | float):
            columns[BYTES[name]] = int(value) / 1024
        elif name in TIMES and _is_time(value):
            columns[TIMES[name]] = value
    return columns


def _is_time(value: object) -> bool:
    try:
        datetime.strptime(str(value), TIME_FORMAT)  # noqa: DTZ007 (only its form matters)
    except ValueError:
        return False
    return True
