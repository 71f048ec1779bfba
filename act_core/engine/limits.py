"""Time limits by the CE's own word for a job's state: what is over one is killed, and says why. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from act_core.db.attempts import Attempt
from act_core.decisions import Stay
from act_core.settings.limits import Limits
from act_core.states import LIVING, CeState, Request

# The CEs' words, in lower case, and the limit that they fall under; each limit is a key `jobs.maxtime…`.
WORDS: Mapping[str, str] = {
    "": "undefined",
    "undefined": "undefined",
    "unexpanded": "undefined",
    "accepting": "accepted",
    "accepted": "accepted",
    "preparing": "preparing",
    "prepared": "preparing",
    "submitting": "submitting",
    "queuing": "queuing",
    "idle": "idle",
    "held": "hold",
    "suspended": "suspended",
    "running": "running",
    "executed": "running",
    "exitinglrms": "running",
    "other": "other",
    "finishing": "finishing",
    "transferring_output": "finishing",
}
_CONDOR = "htcondor"
_BESIDE = re.compile("[ ,/]")  # what follows is detail: `HELD 13/2`, `RUNNING/COMPLETED`
_KILLED = {Request.CANCEL, Request.CLEAN, Request.RESUBMIT}
_LIMITED = LIVING - {CeState.CANCELLING}
UNASKED = timedelta(minutes=15)  # between two looks; what is longer was an outage, a downtime, or the tower's own sleep


def limit_name(native: str | None, kind: str = "") -> str | None:
    """The limit that a CE's word falls under; None: there is none for this word."""
    found = WORDS.get(_BESIDE.split(native or "", maxsplit=1)[0].lower())
    return "held" if found == "hold" and kind == _CONDOR else found


def another(attempt: Attempt, native: str) -> bool:
    """Whether a living job has come under another limit since its word was written down."""
    name = limit_name(native)
    return attempt.state in _LIMITED and name is not None and name != limit_name(attempt.native_state)


def after_limit(attempt: Attempt, now: datetime, limits: Limits, kind: str) -> Stay | None:
    """The kill of a job that has been in one state of its CE for too long."""
    name, longest = _limit(attempt, limits, kind)
    if not longest or now - _since(attempt) <= longest:
        return None
    words = f"{attempt.native_state or 'without a word of its CE'} for more than {span(longest)} (jobs.maxtime{name})"
    return Stay({"error": words}, reason=f"killed: {words}", wish=Request.CANCEL)


def after_total(attempt: Attempt, now: datetime, limits: Limits) -> Stay | None:
    """The kill of a job that was sent too long ago: one that goes to and fro is in none of its states for too long."""
    longest = limits.maxtimetotal
    if attempt.state not in _LIMITED or attempt.request in _KILLED or attempt.send_deadline is None:
        return None
    if not longest or now - attempt.send_deadline <= longest:
        return None
    words = f"not over {span(longest)} after it was sent (jobs.maxtimetotal)"
    return Stay({"error": words}, reason=f"killed: {words}", wish=Request.CANCEL)


def not_counted(
    attempt: Attempt, now: datetime, limits: Limits, kind: str, looked: datetime | None, every: timedelta
) -> Stay | None:
    """What is written of a job whose word is the same as before a time in which nobody asked: that time does not count.

    `looked`: the last good answer. `every`: how often the CE is asked.
    """
    blind = now - max(looked or now, _since(attempt))
    if blind <= max(UNASKED, 2 * every) or not _limit(attempt, limits, kind)[1]:
        return None
    return Stay({"native_since": _since(attempt) + blind})


def _limit(attempt: Attempt, limits: Limits, kind: str) -> tuple[str, timedelta]:
    """The limit that a job is under, and how long it is; 0: none."""
    name = limit_name(attempt.native_state, kind)
    if name is None or attempt.state not in _LIMITED or attempt.request in _KILLED:
        return "", timedelta(0)
    return name, getattr(limits, f"maxtime{name}")


def _since(attempt: Attempt) -> datetime:
    return attempt.native_since or attempt.state_since


def span(time: timedelta) -> str:
    """A time as an operator writes it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if time.total_seconds() >= length and time.total_seconds() % length == 0:
            return f"{time.total_seconds() / length:g} {unit}"
    return f"{time.total_seconds():g} s"
