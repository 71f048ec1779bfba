"""The outputs that a job has to leave, and what storage's answers about them mean, by rule. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from act_core.atlas.books import Booked
from act_core.atlas.lenient import csv
from act_core.atlas.pilot_word import Reported
from act_core.settings.app_model import Validation
from act_core.storage.base import Outcome, Verdict, Wanted

Action = Literal["accept", "retry", "rerun", "fail"]
STRENGTH: Sequence[Action] = ("accept", "retry", "rerun", "fail")  # of several files the strongest decides
ROOM = 440  # characters of the list of bad files: PanDA keeps 500 with the words around it
_SHORTEST = 40  # of one file's words
UNLISTED = Verdict(Outcome.ABSENT, "the pilot's report does not list it")
NO_ADDRESS = Verdict(Outcome.UNVERIFIABLE, "the pilot's report gives no address")


def expected_of(job: Mapping[str, object]) -> list[str]:
    """The names of all outputs and the log; without those that PanDA allows to be missing."""
    excused = set(_names(job, "allowNoOutput"))
    return [name for name in dict.fromkeys((*_names(job, "outFiles"), *_names(job, "logFile"))) if name not in excused]


def _names(job: Mapping[str, object], key: str) -> list[str]:
    try:
        return [name for name in csv(job.get(key)) if name]
    except ValueError:
        return []


def reported_of(outputs: str | None) -> list[Reported]:
    """The files of a row's `outputs`."""
    return [Reported(**file) for file in json.loads(outputs or "[]")]


def own(job: Mapping[str, object], files: Sequence[Reported]) -> list[Reported]:
    """Those that are outputs of this very job, by its own list and by their address.

    The report comes from a worker node: what it names beside that is not ours to delete.
    """
    names = {*_names(job, "outFiles"), *_names(job, "logFile")}
    return [file for file in files if file.url and file.lfn in names and _last(file.url) == file.lfn]


def _last(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        return ""


def files_of(row: Booked) -> dict[str, Wanted | Verdict]:
    """What is to be asked for each of a job's files, by name; of some the answer is known."""
    found: dict[str, Wanted | Verdict] = dict.fromkeys(expected_of(json.loads(row.job)), UNLISTED)
    for file in reported_of(row.outputs):
        found[file.lfn] = Wanted(file.url, file.size, file.adler32) if file.url else NO_ADDRESS
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What is done about a job. `words`: of each file that is not good; `asked`: somebody asked storage about them."""

    action: Action
    words: str = ""
    asked: bool = True
    unverified: int = 0  # files of which storage cannot tell, or that have no address


def judged(files: Mapping[str, Wanted | Verdict], said: Mapping[Wanted, Verdict], rules: Validation) -> Judged:
    """The strongest of the actions that the rules have for the files' outcomes."""
    verdicts = {name: said[one] if isinstance(one, Wanted) else one for name, one in files.items()}
    actions = {name: action_of(verdict.outcome, rules) for name, verdict in verdicts.items()}
    bad = sorted((name for name in actions if actions[name] != "accept"), key=lambda n: -STRENGTH.index(actions[n]))
    if not bad:
        doubtful = sum(one.outcome is Outcome.UNVERIFIABLE for one in verdicts.values())
        return Judged("accept", unverified=doubtful)
    again = [verdicts[name] for name in bad if actions[name] == "retry"]
    asked = any(one.asked for one in again) or not any(one.outcome is Outcome.UNREACHABLE for one in again)
    told = [f"{name}: {verdicts[name].outcome}: {verdicts[name].words}".rstrip(": ") for name in bad]
    return Judged(actions[bad[0]], listed(told), asked)


def action_of(outcome: Outcome, rules: Validation) -> Action:
    match outcome:
        case Outcome.MATCH:
            return "accept"
        case Outcome.ABSENT:
            return rules.on_missing
        case Outcome.MISMATCH:
            return rules.on_different
        case Outcome.UNVERIFIABLE:
            return rules.on_unverifiable
        case Outcome.UNREACHABLE | Outcome.FORBIDDEN:
            return rules.on_unreachable


def listed(told: Sequence[str], room: int = ROOM) -> str:
    """All of them in so many characters: each cut to its part of the room, and those without room counted."""
    part = max(_SHORTEST, room // max(len(told), 1) - 2)
    short = [one if len(one) <= part else f"{one[: part - 1]}…" for one in told]
    if len("; ".join(short)) <= room:
        return "; ".join(short)
    shown: list[str] = []
    for one in short:
        rest = f"… and {len(short) - len(shown)} more"
        if len("; ".join([*shown, one, rest])) > room:
            return "; ".join([*shown, rest])
        shown.append(one)
    return "; ".join(shown)
