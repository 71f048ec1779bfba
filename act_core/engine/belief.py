"""Whose answers are believed: that a CE does not know a job counts only if it was asked by the identity that submitted
it, and at the endpoint that it was sent to.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from act_core.ce.base import Accepted, Gone, Refused, RemoteId
from act_core.db import credentials, ledger, silence
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.decisions import Decision, Move, Stay
from act_core.engine.identity import Identity, identity
from act_core.engine.moved import none_left_elsewhere, sent_elsewhere
from act_core.errors import ConfigError, CredentialError
from act_core.reasons import Reason, Topic
from act_core.runtime import Runtime
from act_core.states import CeState

Answers = Mapping[RemoteId, Accepted | Gone | Refused]
LATER = timedelta(minutes=5)  # what a step may not do now is looked at again then
POLL = "poll"  # asks again by itself, without a word in the rows


def says_absent(attempt: Attempt, decision: Decision, actor: str) -> bool:
    """Whether the decision rests on an answer that does not know the job."""
    if decision.columns.get("absent_since") is not None:
        return True
    if not isinstance(decision, Move):
        return False
    if decision.to in (CeState.LOST, CeState.VOID):
        return True
    return actor == "cancel" and decision.to is CeState.CANCELLED and attempt.state is CeState.CANCELLING


def never_ran(attempt: Attempt, now: datetime, commit: timedelta | None) -> bool:
    """Whether a submission in doubt cannot run whatever anybody answers: without our input not after `commit`."""
    if attempt.state is not CeState.SUBMITTING or attempt.send_deadline is None or commit is None:
        return False
    return now >= attempt.send_deadline + commit


async def commits(rt: Runtime, decisions: Mapping[Attempt, Decision]) -> dict[str, timedelta | None]:
    """By CE at which a submission is missed: how long a job waits there for our input; None: it does not."""
    missed = {
        a.ce for a, one in decisions.items() if a.ce and a.state is CeState.SUBMITTING and says_absent(a, one, "")
    }
    traits = {ce: (await rt.ce(ce)).traits for ce in sorted(missed)}
    return {ce: one.input_patience if one.two_phase else None for ce, one in traits.items()}


async def credible(
    rt: Runtime, decisions: Mapping[Attempt, Decision], actor: str, patience: Mapping[str, timedelta | None]
) -> Mapping[Attempt, Decision]:
    """The decisions without those that rest on an answer to somebody else; their jobs are looked at again later."""
    now = rt.now()
    absent = [
        attempt
        for attempt, decision in decisions.items()
        if says_absent(attempt, decision, actor) and not never_ran(attempt, now, patience.get(attempt.ce or ""))
    ]
    if not absent:
        return decisions
    doubted: set[Attempt] = set()
    for ce in {attempt.ce for attempt in absent if attempt.ce}:
        doubted |= await others(rt, ce, [attempt for attempt in absent if attempt.ce == ce])
    later = {} if actor == POLL else {"due_at": rt.now() + LATER}
    kept = {attempt: decision for attempt, decision in decisions.items() if attempt not in doubted}
    return kept | {attempt: Stay(later) for attempt in doubted if later}


async def others(rt: Runtime, ce: str, attempts: Collection[Attempt]) -> set[Attempt]:
    """Those that went to another endpoint, or as another identity, than what is asked now; the operator is told."""
    elsewhere = await sent_elsewhere(rt, ce, attempts)
    return elsewhere | await _of_others(rt, ce, [attempt for attempt in attempts if attempt not in elsewhere])


async def _of_others(rt: Runtime, ce: str, attempts: Collection[Attempt]) -> set[Attempt]:
    """Those that another identity submitted than the one that the CE is shown now."""
    asked = [attempt for attempt in attempts if attempt.credential_id is not None]
    if not asked:
        return set()
    try:
        mine = await identity(rt, ce)
    except (CredentialError, ConfigError):
        mine = None
    found = {attempt for attempt in asked if mine is None or attempt.credential_id != mine.credential_id}
    if found:
        await rt.note([await _line(rt, ce, mine)])
    return found


async def _line(rt: Runtime, ce: str, mine: Identity | None) -> Line:
    """How many jobs at a CE others submitted; the line ends where there are none."""
    left = await rt.read(silence.by_identity, ce)
    strange = {one: sum(states.values()) for one, states in left.items() if mine is None or one != mine.credential_id}
    if not strange:
        return Line(Topic.IDENTITY, None, ce)
    whose, n = await rt.read(credentials.subjects, strange.keys()), sum(strange.values())
    others = [f"{whose.get(one) or 'somebody'} (identity {one})" for one in sorted(strange)]
    facts = {"ce": ce, "n": n, "now": mine.subject if mine else "none", "others": others}
    facts |= {"id": min(strange)} if mine else {}  # without one in use, it may be the one that will be in use again
    return Line(Topic.IDENTITY, Reason.OTHER_IDENTITY, ce, n=n, facts=facts)


async def no_longer_others(rt: Runtime) -> None:
    """End the ledger's lines of CEs that know all of ours again, however the others went; count anew.

    A CE that nobody names any more has no identity to be shown, and nobody asks it.
    """
    await none_left_elsewhere(rt)
    told = [row.ce for row in await rt.read(ledger.standing) if row.topic == Topic.IDENTITY]
    lines = [line for ce in told if (line := await _now(rt, ce))]
    await rt.note([line for line in lines if line.reason is None])
    if stands := [line for line in lines if line.reason]:
        await rt.write(ledger.correct, stands)


async def _now(rt: Runtime, ce: str) -> Line | None:
    """What holds of a CE now; None: what it is shown cannot be read, and it stays as it was told."""
    try:
        await rt.site(ce)
    except ConfigError:
        return Line(Topic.IDENTITY, None, ce)
    try:
        return await _line(rt, ce, await identity(rt, ce))
    except (CredentialError, ConfigError):
        return None if await rt.read(silence.by_identity, ce) else Line(Topic.IDENTITY, None, ce)


async def heard(rt: Runtime, ce: str, attempts: Collection[Attempt], answers: Answers) -> Answers:
    """The answers to a clean; a 404 to another identity than the one that submitted does not say that it is clean."""
    gone = [a for a in attempts if a.remote_id and isinstance(answers.get(a.remote_id), Gone)]
    doubted = await others(rt, ce, gone)
    refusal = Refused(
        "another identity, or another endpoint, than what it was submitted with does not see it", for_good=False
    )
    return {**answers, **{attempt.remote_id: refusal for attempt in doubted if attempt.remote_id}}
