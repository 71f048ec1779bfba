"""The story of a PanDA job for people: where it came from, every attempt, every event, what PanDA was told. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from act_core.atlas.books import Booked
from act_core.db.histories import Told
from act_core.monitor.sentences import told as sentence
from act_core.monitor.times import UNKNOWN, at
from act_core.states import PandaState
from act_core.words import redact

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CODES = (
    ("pilot_error_code", "pilot_error_diag", "pilot error"),
    ("exe_error_code", "exe_error_diag", "payload error"),
    ("trans_exit_code", "", "transform's exit code"),
)
_FACTS = (
    ("remote_id", "id at the CE"),
    ("native_state", "the CE's word"),
    ("node", "node"),
    ("exit_code", "exit code"),
    ("wall_s", "wall time, s"),
    ("cpu_s", "CPU time, s"),
    ("memory_kb", "memory, KB"),
    ("error", "trouble"),
)


def story(row: Booked, attempts: Sequence[Told], now: datetime) -> str:
    """A page of plain text; what looks like a secret is masked."""
    lines = [*_head(row, now), *(line for told in attempts for line in ("", *_attempt(told, now)))]
    if not attempts:
        lines += ["", "No attempt was made: it never went to a CE."]
    text = redact("\n".join([*lines, "", f"Written at {at(now)}. All times are UTC.", ""]))
    return _CONTROL.sub("\ufffd", text)


def _head(row: Booked, now: datetime) -> Iterator[str]:
    yield f"PanDA job {row.panda_id}, attempt number {row.attempt_nr}, queue {row.queue} ({row.label or 'unreadable'})"
    yield f"  server           {row.server}"
    yield f"  taken            {at(row.created) or UNKNOWN}"
    yield f"  who reports      {row.reporter}"
    yield f"  state            {row.state.value}"
    yield f"  PanDA was told   {_told(row)}"
    if row.report:
        waits = "" if row.state is PandaState.CLOSED else ", until PanDA takes it"
        yield f"  final report     {_report(row.report)}{waits}"
    if row.error:
        yield f"  trouble          {row.error}"


def _told(row: Booked) -> str:
    return f"{row.told} at {at(row.told_at) or UNKNOWN}" if row.told else "nothing yet"


def _report(text: str) -> str:
    """The words of a final report that say how it ended."""
    said = json.loads(text)
    codes = [
        f"{what} {said[code]}{': ' + str(said[diag]) if said.get(diag) else ''}"
        for code, diag, what in _CODES
        if said.get(code)
    ]
    return "; ".join([str(said.get("job_status") or UNKNOWN), *codes])


def _attempt(told: Told, now: datetime) -> Iterator[str]:
    one = told.attempt
    yield f"Attempt {one.attempt}: {one.state} at {one.ce or 'no CE'} ({one.submission_key})"
    for name, words in _FACTS:
        if (value := getattr(one, name)) is not None:
            yield f"  {words:15}  {value}"
    happened = [(e.at, f"{e.from_state} → {e.to_state}  {e.reason} ({e.actor})") for e in told.events]
    happened += [(line.at, f"decided: {sentence(line.code, line.facts, now).why}") for line in told.lines if line.code]
    for moment, words in sorted(happened, key=lambda pair: pair[0]):
        yield f"  {at(moment)}  {words}"
