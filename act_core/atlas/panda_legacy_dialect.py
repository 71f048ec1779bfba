"""The words of PanDA's legacy API: reports in its spelling, its answers read. No I/O (reference: panda.md 1.2, 3)."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import parse_qsl

from act_core.atlas.lenient import present
from act_core.atlas.reports import ActiveJobs, Attributes, Outcome, Update, UpdateAnswer
from act_core.errors import ActError, CredentialError, ProtocolError, Transient
from act_core.foreign import read_json

SUCCESS, NO_JOBS, INVALID = 0, 20, 50
NO_ROLE = frozenset({60, 70})
# StatusCode: who acts. 10 and 30: the database could not, now; 20 is an answer to getJob only.
VERDICTS: Mapping[int | None, tuple[type[ActError], str]] = {
    10: (Transient, "timeout of its database"),
    NO_JOBS: (Transient, "no jobs"),
    30: (Transient, "its database failed"),
    INVALID: (CredentialError, "invalid token or state"),
    60: (CredentialError, "no production or pilot role"),
    70: (CredentialError, "permission denied"),
    80: (CredentialError, "it has no such key"),
    90: (CredentialError, "it could not get the proxy"),
}
_UNKNOWN = (Transient, "an answer of no known kind")
GONE = "notfound"  # the status of a job that it does not know
OVER = frozenset({GONE, "finished", "failed", "cancelled", "closed"})  # an update of such a job is answered with a kill

# field of Update: parameter of updateJob; an unknown one fails the whole call
NAMES: Mapping[str, str] = {
    "job_id": "jobId", "job_status": "state", "attempt_nr": "attemptNr", "job_sub_status": "jobSubStatus",
    "site_name": "siteName", "node": "node", "scheduler_id": "schedulerID", "pilot_id": "pilotID",
    "start_time": "startTime", "end_time": "endTime", "trans_exit_code": "transExitCode",
    "pilot_error_code": "pilotErrorCode", "pilot_error_diag": "pilotErrorDiag", "exe_error_code": "exeErrorCode",
    "exe_error_diag": "exeErrorDiag", "n_events": "nEvents", "n_input_files": "nInputFiles",
    "cpu_consumption_time": "cpuConsumptionTime", "cpu_consumption_unit": "cpuConsumptionUnit",
    "cpu_conversion_factor": "cpuConversionFactor", "cpu_architecture_level": "cpu_architecture_level",
    "core_count": "coreCount", "mean_core_count": "meanCoreCount", "job_metrics": "jobMetrics",
    "pilot_timing": "pilotTiming", "max_rss": "maxRSS", "max_vmem": "maxVMEM", "max_swap": "maxSWAP",
    "max_pss": "maxPSS", "avg_rss": "avgRSS", "avg_vmem": "avgVMEM", "avg_swap": "avgSWAP", "avg_pss": "avgPSS",
    "tot_rchar": "totRCHAR", "tot_wchar": "totWCHAR", "tot_rbytes": "totRBYTES", "tot_wbytes": "totWBYTES",
    "rate_rchar": "rateRCHAR", "rate_wchar": "rateWCHAR", "rate_rbytes": "rateRBYTES", "rate_wbytes": "rateWBYTES",
    "corrupted_files": "corruptedFiles", "grid": "grid", "source_site": "source_site",
    "destination_site": "destination_site", "pilot_log": "pilotLog", "meta_data": "metaData", "stdout": "stdout",
    "job_output_report": "xml",
}  # fmt: skip

_NEEDED = frozenset({"jobId", "state", "attemptNr", "xml"})
_MOST_FIELDS = 1000  # of an url-encoded answer; a job has about a hundred
_WHOLE = ("max_", "avg_", "tot_", "rate_")  # the server reads some of them by int(): 1.5 would fail the whole call
_CODE = re.compile(r"\d{1,4}", re.ASCII)
_LACKING = re.compile(r"updateJob\(\) got an unexpected keyword argument '(\w+)'")


def report(update: Update, without: Collection[str] = ()) -> dict[str, str]:
    """An element of updateJobsInBulk's jobList, but for some parameters: all values are text."""
    spelled = ((NAMES[name], _text(name, value)) for name, value in update.body().items())
    return {name: text for name, text in spelled if name not in without}


def _text(name: str, value: object) -> str:
    if isinstance(value, float) and name.startswith(_WHOLE):
        return str(round(value))
    return str(value)


def lacking(words: str) -> str | None:
    """The parameter of updateJob that the server is too old to know, and that a report can do without."""
    found = _LACKING.search(words)
    return found[1] if found and found[1] in NAMES.values() and found[1] not in _NEEDED else None


def read(said: object) -> Mapping[str, object]:
    """An answer in any of its three forms: object, wrapped object, url-encoded text. Empty: it is none of them."""
    if isinstance(said, Mapping) and said.get("type") == "json":
        said = said.get("content")
    if isinstance(said, Mapping):
        return said
    if not isinstance(said, str):
        return {}
    with suppress(ValueError):
        parsed = read_json(said)
        return parsed if isinstance(parsed, dict) else {}
    with suppress(ValueError):
        return dict(parse_qsl(said, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    return {}


def code_of(answer: Mapping[str, object]) -> int | None:
    """StatusCode; None: there is none, so that nothing is known."""
    code = answer.get("StatusCode")
    if isinstance(code, str) and _CODE.fullmatch(code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10_000 else None


def words_of(answer: Mapping[str, object]) -> str:
    """What an answer without success says."""
    code = code_of(answer)
    _, meaning = VERDICTS.get(code, _UNKNOWN)
    dialog = present(answer.get("errorDialog"))
    return f"StatusCode {code}: {meaning}" + (f": {str(dialog)[:300]}" if dialog else "")


def must(method: str, answer: Mapping[str, object]) -> Mapping[str, object]:
    """An answer of success. Raises by its StatusCode; one without is for later."""
    code = code_of(answer)
    if code == SUCCESS:
        return answer
    verdict, _ = VERDICTS.get(code, _UNKNOWN)
    raise verdict(f"PanDA refuses {method}: {words_of(answer)}")


def must_pair(method: str, said: str) -> object:
    """The second half of `[true, …]`. `[false, words]`: something in the call broke it, or the database is away."""
    try:
        pair = read_json(said)
    except ValueError as err:
        raise ProtocolError(f"PanDA's answer to {method} is not JSON: {said[:100]!r}") from err
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], bool):
        raise ProtocolError(f"PanDA's answer to {method} is no pair: {said[:100]!r}")
    if pair[0]:
        return pair[1]
    words = f"PanDA refuses {method}: {str(pair[1])[:300]}"
    if "SSL secure connection" in words or "role required" in words:
        raise CredentialError(words)
    if "database error" in words:
        raise Transient(words)
    raise ProtocolError(words)


def read_answer(answer: Mapping[str, object]) -> UpdateAnswer:
    """One element of the bulk answer, as `read`; whatever it is not, it never counts as accepted.

    What was applied is answered with a command, if only `NULL`. A success without one: nothing was applied (the
    server could not keep the metadata, or does not know the job).
    """
    code, command = code_of(answer), present(answer.get("command"))
    if code == SUCCESS and "command" in answer:
        return UpdateAnswer(Outcome.ACCEPTED, command if isinstance(command, str) else "")
    if not_applied(answer):
        return UpdateAnswer(Outcome.LATER, message="success without a command: the report was not applied")
    return UpdateAnswer(Outcome.REFUSED if code == INVALID else Outcome.LATER, message=words_of(answer))


def not_applied(answer: Mapping[str, object]) -> bool:
    """Whether it is a success without a command."""
    return code_of(answer) == SUCCESS and "command" not in answer


def read_jobs(answer: Mapping[str, object]) -> list[object] | None:
    """The jobs of getJob's answer: a list, the same as text, or one flat job; None: it cannot be told."""
    jobs = answer.get("jobs")
    if isinstance(jobs, str):
        try:
            jobs = read_json(jobs)
        except ValueError:
            return None
    if isinstance(jobs, list):
        return jobs
    return [answer] if "PandaID" in answer else None


def read_statuses(answer: Mapping[str, object], n: int) -> list[tuple[str, int]] | None:
    """Status and attempt of each of `n` jobs, in the order asked; None: the answer does not match."""
    statuses, attempts = (str(answer.get(name, "")).split("+") for name in ("status", "attemptNr"))
    if len(statuses) != n or len(attempts) != n or not all(statuses):
        return None
    return [
        (status, int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 0)
        for status, attempt in zip(statuses, attempts, strict=True)
    ]


def read_statistics(stats: object) -> Iterator[ActiveJobs]:
    """label → resource type → status → number of one queue; the server lists ended jobs and zeros, too."""
    for label, resource_types in _items(stats):
        for resource_type, statuses in _items(resource_types):
            for status, count in _items(statuses):
                if isinstance(count, int) and count > 0 and status not in OVER:
                    yield ActiveJobs(resource_type, label, status, count)


def read_attributes(said: str, production: bool) -> Attributes:
    """getVomsAttr's lines: `GRST_CRED_0 : X509USER from to delegations DN`, `GRST_CRED_1 : VOMS … FQAN`."""
    values = [value.split() for _, _, value in (line.partition(" : ") for line in said.splitlines())]
    names = (" ".join(words[4:]) for words in values if words[:1] == ["X509USER"])
    fqans: Sequence[str] = [words[-1] for words in values if words[:1] == ["VOMS"] and len(words) > 1]
    return Attributes(next(names, ""), tuple(fqans), production)


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
