"""The final report of a native job: the pilot's own word where there is one, else what the CE says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from act_core.atlas.books import Booked
from act_core.atlas.pilot_word import Heartbeat, Value
from act_core.atlas.reports import Update, as_text, fits
from act_core.states import PandaEnd, PandaState, end_of
from act_core.words import clean, redact

KILLED = 1144
GENERAL = 1008  # PanDA's general pilot error
UNKNOWN = 9000  # the original's code where nobody says why
KILLED_WORDS = "killed by panda server"
NO_WORD = "the job ended without a report of the pilot"
NO_REASON = "the job did not end well, and the pilot does not say why"

_LONGEST = timedelta(days=366)
_DIAG = 500  # characters of pilot_error_diag that PanDA keeps


@dataclass(frozen=True, slots=True)
class Ended:
    """What the tower knows of a job that is over. `error`: why it is no success, in the CE's words or ours.

    `code`: our own verdict where it is known (a validation that failed); None: the rules look at `error`.
    """

    panda_id: int
    attempt_nr: int
    queue: str
    outcome: Literal["finished", "failed", "killed"]
    now: datetime
    cores: int = 1
    node: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    wall_s: int | None = None
    cpu_s: int | None = None  # summed over the cores
    memory_kb: int | None = None  # the most that it used, by the CE
    exit_code: int | None = None  # of the payload's script, by the CE
    error: str | None = None
    code: int | None = None
    log_url: str | None = None
    pilot_log: str | None = None  # the telling lines of the CE's and the pilot's logs


@dataclass(frozen=True, slots=True)
class CodeRule:
    """One row: words of a CE, and PanDA's pilot error code for them. The first match counts."""

    words: re.Pattern[str]
    code: int
    meaning: str


def _rule(words: str, code: int, meaning: str) -> CodeRule:
    return CodeRule(re.compile(words, re.IGNORECASE), code, meaning)


STAGE_IN_FAILED, STAGE_OUT_FAILED = 1099, 1137
CODES: tuple[CodeRule, ...] = (
    _rule(r"cpu.?time.{0,20}(exceed|limit)|exceed\w*.{0,20}cpu|SIGXCPU|job killed: cput", 1204, "CPU time"),
    _rule(r"wall.?(clock)?.?(time)?.{0,20}(exceed|limit)|(exceed\w*|job killed:).{0,20}wall", 1213, "walltime"),
    _rule(r"time.?limit|\bTIMEOUT\b(?! waiting).*LRMS|LRMS.*\bTIMEOUT\b|exceeded time", 1213, "walltime"),
    _rule(r"out.of.memory|oom.?kill", 1212, "out of memory"),
    _rule(r"memory.{0,30}(exceed|limit)|exceed\w*.{0,30}memory|job killed: (v?mem|rss)", 1235, "memory limit"),
    _rule(r"no space left|disk.{0,10}(quota|full)", 1098, "no local space"),
    _rule(r"proxy.{0,30}expired|(credential|delegation).{0,30}(expired|not found|invalid)", 1163, "proxy not valid"),
    _rule(r"(staging|files?).{0,20}post-?processing|(upload|stage-?out).{0,30}fail", STAGE_OUT_FAILED, "stage-out"),
    _rule(r"fail\w*.{0,40}(upload|output file|stage-?out)", STAGE_OUT_FAILED, "stage-out"),
    _rule(r"^stage-?out of ", STAGE_OUT_FAILED, "stage-out"),
    _rule(r"^stage-?in of ", STAGE_IN_FAILED, "stage-in"),
    _rule(r"(staging|files?).{0,20}pre-?processing|(download|stage-?in).{0,30}fail", STAGE_IN_FAILED, "stage-in"),
    _rule(r"fail\w*.{0,40}(download|input file|stage-?in)|user file:.*timeout", STAGE_IN_FAILED, "stage-in"),
    _rule(r"preempt|evicted", 1379, "preempted"),
    _rule(r"node.?fail|lost contact with.{0,20}node", 1344, "resource unavailable"),
    _rule(r"SIGTERM|signal 15\b", 1201, "SIGTERM"),
    _rule(r"SIGSEGV|signal 11\b", 1203, "SIGSEGV"),
    _rule(r"signal 9\b|SIGKILL|killed by signal", 1200, "kill signal"),
)


def code_for(error: str | None) -> int:
    """PanDA's pilot error code for the words of a CE."""
    return next((rule.code for rule in CODES if rule.words.search(error or "")), UNKNOWN)


def final_update(job: Ended, heartbeat: Heartbeat | None, schedulerid: str) -> Update:
    """The report that closes a job in PanDA.

    A job is reported finished only if both the pilot and the tower say so.
    """
    fields = _said(job, heartbeat)
    good = job.outcome == "finished" and heartbeat is not None and heartbeat.finished
    if job.log_url and "pilot_id" not in fields:
        fields["pilot_id"] = f"{job.log_url}|Unknown|Unknown|Unknown|Unknown"
    if job.node:
        fields["node"] = job.node
    fields.setdefault("core_count", job.cores)
    common = {
        "job_id": job.panda_id,
        "job_status": "finished" if good else "failed",
        "attempt_nr": job.attempt_nr,
        "site_name": job.queue,
        "scheduler_id": schedulerid,
    }
    return Update.model_validate(fields | common | _times(job, heartbeat))


def gave_up(row: Booked, why: str, schedulerid: str, now: datetime, log_url: str | None) -> dict[str, Any]:
    """The columns of a job that ends by a verdict of the tower alone: what PanDA is told, and why."""
    why = clean(redact(why))
    ended = Ended(row.panda_id, row.attempt_nr, row.queue, "failed", now, cores=row.cores, error=why, code=GENERAL)
    report = final_update(replace(ended, log_url=log_url), None, schedulerid)
    return {"report": report.model_dump_json(exclude_none=True), "heartbeat_due_at": now, "error": why}


def for_the_books(report: Mapping[str, Any], over_before: bool) -> dict[str, Any]:
    """How a job ended whose final report is no longer needed. `over_before`: PanDA had closed it before it came."""
    codes = (("pilot", "pilot_error_code"), ("payload", "exe_error_code"), ("transformation", "trans_exit_code"))
    cause = next((f"{who} {report[name]}" for who, name in codes if report.get(name)), None)
    end = PandaEnd.TAKEN_BACK if over_before else end_of(PandaState.TOREPORT, report.get("job_status"))
    if report.get("pilot_error_code") == KILLED:
        end = PandaEnd.KILLED
    return {"ended_as": end.value, "cause": cause}


def _said(job: Ended, heartbeat: Heartbeat | None) -> dict[str, Value]:
    """What there is to say of how it went."""
    if job.outcome == "killed":
        return _killed(job)
    if heartbeat is None:
        return _without_pilot(job)
    fields = _measured(job, heartbeat.fields) | dict(heartbeat.fields)
    if job.outcome == "failed" or not heartbeat.finished:
        fields |= _failure(job, fields)
    for why, names in (("too long for the tower", heartbeat.too_long), ("no value for PanDA", heartbeat.dropped)):
        if names:
            fields["pilot_error_diag"] = _with_note(fields.get("pilot_error_diag"), why, names)
    return fields


def _killed(job: Ended) -> dict[str, Value]:
    return {"pilot_error_code": KILLED, "pilot_error_diag": KILLED_WORDS, **_usage(job)}


def _without_pilot(job: Ended) -> dict[str, Value]:
    """All that can be said of a job that left no report."""
    error = job.error or NO_WORD
    code = job.code or code_for(error)
    fields: dict[str, Value] = {"pilot_error_code": code, "pilot_error_diag": _with_exit(error, job.exit_code)}
    if job.pilot_log:
        fields["pilot_log"] = job.pilot_log
    return fields | _usage(job)


def _failure(job: Ended, said: Mapping[str, Value]) -> dict[str, Value]:
    """The pilot's codes stand; where it says none, ours do. A verdict of ours on a good pilot is ours alone."""
    blamed = any(said.get(name) for name in ("pilot_error_code", "exe_error_code", "trans_exit_code"))
    if blamed and job.code is None:
        return {}
    error = job.error or NO_REASON
    return {"pilot_error_code": job.code or code_for(error), "pilot_error_diag": error}


def _with_exit(error: str, exit_code: int | None) -> str:
    """The CE's words, with the exit code where it says more than nothing and they do not."""
    if not exit_code or re.search(rf"(?<!\d){exit_code}(?!\d)", error):
        return error
    note = f"exit code {exit_code}"
    return f"{error[: _DIAG - len(note) - 2]}; {note}"


def _measured(job: Ended, said: Mapping[str, Value]) -> dict[str, Value]:
    """What the CE measured, where the pilot says nothing of its CPU time."""
    return {} if "cpu_consumption_time" in said else _usage(job)


def _with_note(said: Value | None, why: str, left_out: Sequence[str]) -> str:
    """What is told of the end, and what was left out of the report; the note has its place in PanDA's column."""
    note = f"[{why}, left out: {', '.join(left_out)}]"[:_DIAG]
    return f"{str(said or '')[: max(_DIAG - len(note) - 1, 0)]} {note}".lstrip()


def _usage(job: Ended) -> dict[str, Value]:
    fields: dict[str, Value] = {"cpu_consumption_unit": "s", "cpu_conversion_factor": 1.0}
    if job.cpu_s is not None and fits("cpu_consumption_time", job.cpu_s):
        fields["cpu_consumption_time"] = job.cpu_s
    if job.memory_kb is not None and job.memory_kb > 0:
        fields["max_rss"] = job.memory_kb
    if wall := _wall(job):
        fields["pilot_timing"] = f"0|0|{wall}|0|0|0"
    return fields


def _wall(job: Ended) -> int:
    """Seconds; a CE that reports less than the CPU time of one core has its walltime wrong."""
    per_core = max(job.cpu_s or 0, 0) // max(job.cores, 1)
    return min(max(job.wall_s or 0, per_core, 0), int(_LONGEST.total_seconds()))


def _times(job: Ended, heartbeat: Heartbeat | None) -> dict[str, str]:
    """The pilot's times, else the CE's, else what follows from the usage. In the order that clocks have."""
    end = _moment(heartbeat.ended if heartbeat else None, job.now) or job.ended or job.now
    start = (
        _moment(heartbeat.started if heartbeat else None, job.now) or job.started or end - timedelta(seconds=_wall(job))
    )
    found = {"start_time": as_text(min(start, end)), "end_time": as_text(end)}
    return {name: moment for name, moment in found.items() if moment}


def _moment(epoch: float | None, now: datetime) -> datetime | None:
    """None for what no clock near ours would have said."""
    if epoch is None or not (now - _LONGEST).timestamp() < epoch < (now + timedelta(days=1)).timestamp():
        return None
    return datetime.fromtimestamp(epoch, UTC)
