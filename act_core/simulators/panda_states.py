"""What each report does to a PanDA job: the table measured on panda-server 1.0.4, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

REPORTABLE = ("running", "failed", "finished", "holding", "starting", "transferring")
FINAL_REPORTS = ("finished", "failed")


class Phase(StrEnum):
    """Where a job stands. Finer than `jobStatus`: who put it there decides what the next report does."""

    ACTIVATED = "activated"
    SENT = "sent"
    STARTING = "starting"
    RUNNING = "running"
    HOLDING = "holding"  # a pilot said so
    HOLDING_FINAL = "holding, final report in"
    TRANSFERRING = "transferring"  # a pilot said so
    TRANSFERRING_ADDER = "transferring, set by the adder"
    MERGING = "merging"
    FAILED = "failed"  # still in the active table
    ARCHIVED = "archived"


class Verdict(StrEnum):
    """What becomes of a report."""

    APPLIED = "applied"
    IGNORED = "ignored"  # accepted with command NULL, but nothing changes, not even the modification time
    ALREADY_DONE = "alreadydone"
    TO_BE_KILLED = "tobekilled"


@dataclass(frozen=True, slots=True)
class Effect:
    """The next phase, the verdict, and whether a final report goes to the adder."""

    phase: Phase
    verdict: Verdict
    report: bool = False


P, V = Phase, Verdict


def _open(phase: Phase) -> dict[str, Effect]:
    moves = {word: Effect(P(word), V.APPLIED) for word in ("starting", "running", "transferring", "holding")}
    if phase is P.RUNNING:
        moves["starting"] = Effect(P.RUNNING, V.APPLIED)  # only the time is touched
    return moves | {word: Effect(P.HOLDING_FINAL, V.APPLIED, report=True) for word in FINAL_REPORTS}


def _all(phase: Phase, verdict: Verdict) -> dict[str, Effect]:
    return dict.fromkeys(REPORTABLE, Effect(phase, verdict))


_to_adder = {word: Effect(P.HOLDING_FINAL, V.APPLIED, report=True) for word in FINAL_REPORTS}
_too_late = dict.fromkeys(FINAL_REPORTS, Effect(P.HOLDING_FINAL, V.ALREADY_DONE))

EFFECTS: Mapping[Phase, Mapping[str, Effect]] = {
    P.ACTIVATED: _open(P.ACTIVATED),
    P.SENT: _open(P.SENT),
    P.STARTING: _open(P.STARTING),
    P.RUNNING: _open(P.RUNNING),
    P.HOLDING: _all(P.HOLDING, V.IGNORED) | {"holding": Effect(P.HOLDING, V.APPLIED)} | _to_adder,
    P.HOLDING_FINAL: _all(P.HOLDING_FINAL, V.IGNORED) | _too_late,
    P.TRANSFERRING: _all(P.TRANSFERRING, V.IGNORED)
    | {"transferring": Effect(P.TRANSFERRING, V.APPLIED), "holding": Effect(P.HOLDING, V.APPLIED)}
    | _to_adder,
    P.TRANSFERRING_ADDER: _all(P.TRANSFERRING_ADDER, V.ALREADY_DONE)
    | dict.fromkeys(("starting", "running"), Effect(P.TRANSFERRING_ADDER, V.IGNORED))
    | {"transferring": Effect(P.TRANSFERRING_ADDER, V.APPLIED)},
    P.MERGING: _all(P.MERGING, V.IGNORED) | dict.fromkeys(FINAL_REPORTS, Effect(P.MERGING, V.APPLIED, report=True)),
    P.FAILED: _all(P.FAILED, V.ALREADY_DONE),
    P.ARCHIVED: _all(P.ARCHIVED, V.TO_BE_KILLED),
}


def status_word(phase: Phase, outcome: str) -> str:
    """`jobStatus` as the API shows it; `outcome` is that of an archived job."""
    return outcome if phase is P.ARCHIVED else phase.value.partition(",")[0]
