"""The adder: it reads a final report and says what the job really became."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

DDM_ERROR = 200
_NO_FACTS = "Could not get GUID/LFN/MD5/FSIZE/SURL from pilot JSON"


@dataclass(frozen=True, slots=True)
class Added:
    """`finished` or `failed`, ddmErrorCode (0: none) and diag, and the inputs that the report calls bad."""

    status: str
    code: int = 0
    diag: str = ""
    bad_inputs: tuple[str, ...] = ()


def add(status: str, report: str, outputs: Collection[str], log: str, inputs: Collection[str]) -> Added:
    """Every output and the log must be in the report of a finished job; of a failed one only the log counts."""
    wanted = (*outputs, log) if status == "finished" else (log,)
    try:
        files = _parse(report)
    except ValueError:
        return Added("failed", DDM_ERROR, _NO_FACTS)
    bad_inputs = tuple(lfn for lfn in files if lfn in inputs)
    complaint = _complaint(files, wanted, {*outputs, log, *inputs})
    return Added("failed", DDM_ERROR, complaint, bad_inputs) if complaint else Added(status, bad_inputs=bad_inputs)


def _complaint(files: Mapping[str, Mapping[str, object]], wanted: Collection[str], known: Collection[str]) -> str:
    for lfn in wanted:
        if lfn and lfn not in files:
            return f"expected output {lfn} is missing in pilot JSON"
    for lfn, facts in files.items():
        if lfn not in known:
            return f"unexpected output {lfn} in pilot JSON"
        if lfn in wanted and not ({"guid", "fsize"} <= facts.keys() and {"adler32", "md5sum"} & facts.keys()):
            return _NO_FACTS
    return ""


def _parse(report: str) -> dict[str, Mapping[str, object]]:
    """LFN to facts. Raises ValueError for anything but a JSON object of objects; an empty report lists nothing."""
    files = json.loads(report) if report else {}
    if not isinstance(files, dict) or not all(isinstance(facts, dict) for facts in files.values()):
        raise ValueError("the report is no JSON object of objects")
    return files
