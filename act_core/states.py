"""The two lives: an attempt on a computing element, and a PanDA job. Only this file knows a state's name."""

from collections.abc import Mapping
from enum import StrEnum


class CeState(StrEnum):
    """Where one attempt stands. Facts only: what somebody wants is a :class:`Request`."""

    TOSUBMIT = "tosubmit"  # described; no call made yet
    SUBMITTING = "submitting"  # a call is in the air: it may or may not have landed
    SUBMITTED = "submitted"  # the CE has it, and it does not run yet
    HOLDING = "holding"  # the CE holds it
    RUNNING = "running"
    FINISHING = "finishing"  # the payload is over, the CE moves outputs
    FINISHED = "finished"  # over and well, outputs still on the CE
    FAILED = "failed"  # over and not well; logs still on the CE
    CANCELLING = "cancelling"  # the CE accepted our kill and has not confirmed its end
    DONE = "done"  # over and well, outputs are here
    DONEFAILED = "donefailed"  # over and not well, what was to be had is here
    CANCELLED = "cancelled"  # ended because somebody wished it
    LOST = "lost"  # the CE does not know it any more
    VOID = "void"  # the submission never arrived
    ABANDONED = "abandoned"  # its CE was not seen for too long


_S = CeState
_ALIVE = frozenset({_S.SUBMITTED, _S.HOLDING, _S.RUNNING})
_ENDS = frozenset({_S.FINISHED, _S.FAILED, _S.CANCELLING, _S.CANCELLED, _S.LOST, _S.ABANDONED})

LIFE: Mapping[CeState, frozenset[CeState]] = {
    _S.TOSUBMIT: frozenset({_S.SUBMITTING, _S.CANCELLED}),
    _S.SUBMITTING: frozenset({_S.SUBMITTED, _S.VOID, _S.TOSUBMIT, _S.DONEFAILED}),
    _S.SUBMITTED: (_ALIVE - {_S.SUBMITTED}) | {_S.FINISHING} | _ENDS,
    _S.HOLDING: (_ALIVE - {_S.HOLDING}) | {_S.FINISHING} | _ENDS,
    _S.RUNNING: (_ALIVE - {_S.RUNNING}) | {_S.FINISHING} | _ENDS,
    _S.FINISHING: _ENDS,
    _S.FINISHED: frozenset({_S.DONE, _S.DONEFAILED, _S.LOST}),
    _S.FAILED: frozenset({_S.SUBMITTED, _S.DONEFAILED, _S.LOST}),
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.FINISHED, _S.FAILED, _S.LOST, _S.ABANDONED}),
    _S.DONE: frozenset(),
    _S.DONEFAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.LOST: frozenset(),
    _S.VOID: frozenset(),
    _S.ABANDONED: frozenset(),
}
FINAL = frozenset(state for state, nexts in LIFE.items() if not nexts)

# Polled: the CE is asked about these.
LIVING = _ALIVE | {_S.FINISHING, _S.CANCELLING}
# Ended on the CE; outputs or logs wait to be fetched.
ENDED = frozenset({_S.FINISHED, _S.FAILED})
# Counted against a CE's maxjobs.
ON_CE = LIVING | ENDED | {_S.SUBMITTING}

# What a CE's answer may do to a living job: a state only advances (architecture rule 13).
_RANK = {_S.SUBMITTED: 0, _S.HOLDING: 0, _S.RUNNING: 1, _S.FINISHING: 2}
_RANK |= dict.fromkeys((_S.FINISHED, _S.FAILED, _S.CANCELLED, _S.LOST), 3)


def advances(now: CeState, seen: CeState, may_go_back: bool = False) -> bool:
    """Whether a CE that answers `seen` tells something new about a job that we have in `now`.

    A status may be late and skip states; going back means that the answer is old, but where a running job may be
    queued again (`may_go_back`: HTCondor). A job that is being cancelled moves only to an end.
    """
    if now is _S.CANCELLING:
        return seen in {_S.CANCELLED, _S.FINISHED, _S.FAILED, _S.LOST}
    if may_go_back and (now, seen) == (_S.RUNNING, _S.SUBMITTED):
        return True
    if now is seen or now not in _RANK or seen not in _RANK or now in ENDED:
        return False
    if _RANK[seen] == _RANK[now]:
        return {now, seen} == {_S.SUBMITTED, _S.HOLDING}
    return _RANK[seen] > _RANK[now] or (now is _S.RUNNING and seen is _S.HOLDING)


class Request(StrEnum):
    """What somebody wants of an attempt: a column, never a state. Ordered by strength."""

    FETCH = "fetch"
    RERUN = "rerun"
    RESUBMIT = "resubmit"
    CANCEL = "cancel"
    CLEAN = "clean"


# Where a wish does something; elsewhere the engine takes it down, with a word on why.
HEEDED: Mapping[Request, frozenset[CeState]] = {
    Request.FETCH: ENDED | FINAL - {_S.VOID, _S.ABANDONED},
    Request.RERUN: frozenset({_S.FAILED, _S.HOLDING}),
    Request.RESUBMIT: LIVING | ENDED | {_S.DONE, _S.DONEFAILED, _S.CANCELLED, _S.VOID},
    Request.CANCEL: LIVING - {_S.CANCELLING} | {_S.TOSUBMIT, _S.SUBMITTING},
    Request.CLEAN: frozenset(CeState),
}
STRENGTH: Mapping[Request, int] = {request: rank for rank, request in enumerate(Request)}

# The words of the original's tables, for people (lists, command line, API).
PUBLISHED: Mapping[Request, str] = {request: f"to{request.value}" for request in Request}


class PandaState(StrEnum):
    """What the tower does with a PanDA job; what PanDA was told is `told`."""

    SENT = "sent"  # taken from PanDA, not bound to an attempt
    FORGOTTEN = "forgotten"  # no attempt stands for it, and one that we have forgotten may be on a CE: it is not sent
    STARTING = "starting"  # bound; the CE has it or will have it
    RUNNING = "running"
    TRANSFERRING = "transferring"  # the payload is over: stage-out, or outputs on the way here
    TOVALIDATE = "tovalidate"  # outputs are here, storage is still to be asked
    AWAITING = "awaiting"  # a true pilot's CE job is over: its own report to PanDA is awaited for a while
    TOREPORT = "toreport"  # the final report is written and PanDA has not accepted it yet
    TOKILL = "tokill"  # PanDA wants it dead; the engine was asked to cancel
    CLOSED = "closed"  # PanDA has all that it needs, or does not want to hear of it


_P = PandaState
PANDA_LIFE: Mapping[PandaState, frozenset[PandaState]] = {
    _P.SENT: frozenset({_P.FORGOTTEN, _P.STARTING, _P.TOREPORT, _P.TOKILL, _P.CLOSED}),
    _P.FORGOTTEN: frozenset({_P.SENT, _P.STARTING, _P.TOREPORT, _P.CLOSED}),
    _P.STARTING: frozenset(
        {_P.FORGOTTEN, _P.RUNNING, _P.TRANSFERRING, _P.TOVALIDATE, _P.AWAITING, _P.TOREPORT, _P.TOKILL, _P.CLOSED}
    ),
    _P.RUNNING: frozenset(
        {_P.STARTING, _P.TRANSFERRING, _P.TOVALIDATE, _P.AWAITING, _P.TOREPORT, _P.TOKILL, _P.CLOSED}
    ),
    _P.TRANSFERRING: frozenset({_P.STARTING, _P.TOVALIDATE, _P.AWAITING, _P.TOREPORT, _P.TOKILL, _P.CLOSED}),
    _P.TOVALIDATE: frozenset({_P.STARTING, _P.TOREPORT, _P.TOKILL, _P.CLOSED}),
    _P.AWAITING: frozenset({_P.TOREPORT, _P.CLOSED}),
    _P.TOREPORT: frozenset({_P.CLOSED}),
    _P.TOKILL: frozenset({_P.TOREPORT, _P.CLOSED}),
    _P.CLOSED: frozenset(),
}
UNBOUND = frozenset({_P.SENT, _P.FORGOTTEN})  # no attempt stands for these
PANDA_FINAL = frozenset(state for state, nexts in PANDA_LIFE.items() if not nexts)


class PandaEnd(StrEnum):
    """How a closed PanDA job ended, for the books."""

    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"  # PanDA ordered it
    TAKEN_BACK = "taken back"  # PanDA had closed it, or given it up, before it had our last word


def end_of(state: PandaState, told: str | None) -> PandaEnd:
    """How a job ends that is closed from this state, where PanDA's last word of it is `told`."""
    if told == PandaEnd.FINISHED:
        return PandaEnd.FINISHED
    if state is PandaState.TOKILL:
        return PandaEnd.KILLED
    spoke = state in (PandaState.TOREPORT, PandaState.AWAITING)
    return PandaEnd.FAILED if spoke and told == PandaEnd.FAILED else PandaEnd.TAKEN_BACK
