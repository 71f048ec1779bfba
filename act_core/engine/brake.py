"""No mass action on one witness (architecture rule 9): what would strike too many living jobs at once does not happen.

A source of answers is a CE, whatever it was asked, or a PanDA server. Every step's decisions pass here on their way to
`claims.settle`; those that harm nobody cost nothing.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import brakes, claims
from act_core.db.attempts import Attempt
from act_core.db.brakes import CE, QUEUE, Kind, Numbers, Weighed
from act_core.db.claims import Settled
from act_core.db.policy_models import BrakeRow
from act_core.decisions import Decision, Move, Stay
from act_core.engine.belief import LATER, POLL, commits, credible, never_ran
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Brake
from act_core.states import LIVING, CeState, Request

logger = log(__name__)
# Who speaks for people, or for time itself: no source of answers.
CONSENT = frozenset({"operator", "unseen"})
LIMITS = "limits"  # kills by jobs.maxtime…: its jobs are looked at again with the next poll
_ENDS: Mapping[CeState, Kind] = {
    CeState.LOST: Kind.LOSE,
    CeState.VOID: Kind.VOID,
    CeState.ABANDONED: Kind.ABANDON,
}
_KILLS = {Request.CANCEL, Request.RESUBMIT}
_UNWANTED = {Request.CANCEL, Request.CLEAN, Request.RESUBMIT}
LOOK_EVERY = timedelta(seconds=30)


def harm(attempt: Attempt, decision: Decision, actor: str, now: datetime, commit: timedelta | None) -> Kind | None:
    """What this would do to the job on the CE's word alone; None: no harm.

    Whom somebody wants dead and the CE has begun to kill is not harmed. `commit`: after so long a job without our input
    cannot run any more (two-phase); that a submission is void is then known without any answer.
    """
    if actor in CONSENT:
        return None
    stays = decision.to if isinstance(decision, Move) else attempt.state
    unwished = decision.wish in _KILLS and attempt.request not in _UNWANTED
    if unwished and stays in LIVING and actor in (LIMITS, POLL, "rerun"):
        return Kind.KILL  # by a limit, or by a rule for jobs that the CE holds
    if not isinstance(decision, Move) or attempt.state is CeState.CANCELLING:
        return None
    if decision.to is CeState.VOID and never_ran(attempt, now, commit):
        return None
    if decision.to is CeState.CANCELLED and attempt.state in LIVING:
        return None if attempt.request in _UNWANTED else Kind.KILL
    return _ENDS.get(decision.to)


def allowed(living: int, policy: Brake) -> int:
    """How many living jobs may go on one word within the window."""
    return max(policy.floor, int(living * policy.fraction))


@dataclass(slots=True)
class Judged:
    """What becomes of a batch of one kind from one source."""

    held: set[Attempt] = field(default_factory=set)
    engaged: list[Weighed] = field(default_factory=list)
    released: Counter[int] = field(default_factory=Counter)  # brake → jobs that its release lets through
    struck: Counter[str] = field(default_factory=Counter)  # scope → jobs


def judge(batch: Collection[Attempt], kind: Kind, ce: str, known: Numbers, policy: Brake) -> Judged:
    """Hold or let go, first by the CE, then by each share; a release lets its number through, the oldest first.

    The batch counts with all others of which the CE has said the same already, so that those who follow one by one are
    seen to be many from the first one on.
    """
    found, rest = Judged(), sorted(batch, key=lambda attempt: attempt.id)
    rest = _released(found, rest, CE + ce, known, kind)
    weighed = _weigh(rest, kind, CE + ce, CE + ce, known, policy)
    if rest and weighed:
        found.held, found.engaged = set(rest), [weighed]
        return found
    for share in sorted({attempt.share for attempt in rest}):
        mine = [attempt for attempt in rest if attempt.share == share]
        if share:
            mine = _released(found, mine, QUEUE + share, known, kind)
            if mine and (weighed := _weigh(mine, kind, QUEUE + share, CE + ce, known, policy)):
                found.held |= set(mine)
                found.engaged.append(weighed)
                continue
            found.struck[QUEUE + share] += len(mine)
        found.struck[CE + ce] += len(mine)
    return found


def _released(found: Judged, rest: list[Attempt], scope: str, known: Numbers, kind: Kind) -> list[Attempt]:
    """What no release of this scope lets through; what it does is weighed no more."""
    if scope not in known.left:
        return rest
    brake, left = known.left[scope]
    for attempt in rest[:left]:
        found.released[brake] += 1
        if kind in brakes.MARKED and attempt.absent_since is not None:
            for one in {CE + str(attempt.ce), QUEUE + attempt.share} & set(known.marked):
                known.marked[one] -= 1
    return rest[left:]


def _weigh(
    batch: Collection[Attempt], kind: Kind, scope: str, source: str, known: Numbers, policy: Brake
) -> Weighed | None:
    """Too many, or a brake that holds already; None: they may go."""
    unmarked = len(batch) if kind not in brakes.MARKED else sum(one.absent_since is None for one in batch)
    would = max(known.marked.get(scope, 0) + unmarked, len(batch))
    return weigh(would, kind, scope, source, known, policy)


def weigh(would: int, kind: Kind, scope: str, source: str, known: Numbers, policy: Brake) -> Weighed | None:
    """The same for so many jobs."""
    living, recent = known.living.get(scope, 0), known.recent.get(scope, 0)
    limit = allowed(living, policy)
    if scope not in known.on and would + recent <= limit:
        return None
    return Weighed(scope, kind, source, would, living, limit)


@dataclass(slots=True)
class Passed:
    """What was settled of a batch, and what was not."""

    decisions: Mapping[Attempt, Decision]
    settled: Settled
    at: datetime
    held: int = 0


async def settle(rt: Runtime, decisions: Mapping[Attempt, Decision], actor: str) -> Passed:
    """Settle what is believed and harms no more than it may; the rest stays as it is, and is looked at again later."""
    now = rt.now()
    patience = await commits(rt, decisions)
    believed = decisions if actor in CONSENT else await credible(rt, decisions, actor, patience)
    harmful = _harmful(believed, actor, now, patience)
    if not harmful:
        settled = await rt.write(claims.settle, believed, now, actor) if believed else Settled()
        await ease(rt, believed)
        return Passed(believed, settled, now)
    passed, new = await rt.write(_settle, rt.settings, believed, harmful, actor, now)
    for brake, weighed in new:
        told(brake, weighed)
    if passed.held:
        rt.kept(_Brakes, _Brakes).ces |= {ce for ce, _ in harmful}
    await ease(rt, passed.decisions)
    return passed


Harmful = Mapping[tuple[str, Kind], list[Attempt]]


def _harmful(
    decisions: Mapping[Attempt, Decision], actor: str, now: datetime, patience: Mapping[str, timedelta | None]
) -> Harmful:
    found: dict[tuple[str, Kind], list[Attempt]] = {}
    for attempt, decision in decisions.items():
        if attempt.ce and (kind := harm(attempt, decision, actor, now, patience.get(attempt.ce))):
            found.setdefault((attempt.ce, kind), []).append(attempt)
    return found


def _settle(
    session: Session,
    settings: Settings,
    decisions: Mapping[Attempt, Decision],
    harmful: Harmful,
    actor: str,
    now: datetime,
) -> tuple[Passed, list[tuple[int, Weighed]]]:
    """One transaction: weigh, settle, and remember what was struck."""
    policy, after, new = settings.arc.brake, dict(decisions), []
    held: set[Attempt] = set()
    brakes.alone(session)
    for (ce, kind), batch in harmful.items():
        shares = {attempt.share for attempt in batch if attempt.share}
        known = brakes.numbers(session, ce, kind, CE + ce, shares, now - policy.window, now)
        judged = judge(batch, kind, ce, known, policy)
        new += [(brake, one) for one in judged.engaged if (brake := _engage(session, one, settings, now))]
        brakes.strike(session, judged.struck, kind, CE + ce, now)
        for brake, n in judged.released.items():
            brakes.passed(session, brake, n)
        for attempt in judged.held:
            after.pop(attempt)
            if stay := deferred(attempt, kind, actor, now):
                after[attempt] = stay
        held |= judged.held
    settled = claims.settle(session, after, now, actor) if after else Settled()
    return Passed(after, settled, now, len(held)), new


def _engage(session: Session, weighed: Weighed, settings: Settings, now: datetime) -> int | None:
    site, interval = settings.arc.sites.get(weighed.source.removeprefix(CE)), settings.arc.jobs.checkinterval
    poll = interval if site is None or site.poll is None else site.poll
    return brakes.engage(session, weighed, max(settings.arc.brake.window, 3 * poll), now, {})


def deferred(attempt: Attempt, kind: Kind, actor: str, now: datetime) -> Stay | None:
    """What is written of a job that the brake holds; None: nothing, its CE is asked again in any case."""
    if actor in (POLL, LIMITS):
        return None
    mark = {"absent_since": now} if kind in brakes.MARKED and attempt.absent_since is None else {}
    return Stay({"due_at": now + LATER} | mark)


def told(brake: int, weighed: Weighed) -> None:
    logger.warning(
        "the brake is on (%d): %s would %s %d of %d living jobs of %s, at most %d may go on one word; "
        "act brake list, act brake release %d",
        brake,
        weighed.source,
        weighed.kind,
        weighed.n,
        weighed.living,
        weighed.scope,
        weighed.limit,
        brake,
    )


class _Brakes:
    """CEs at which this process knows a brake to hold, and when it last looked for others."""

    def __init__(self, _settings: Settings) -> None:
        self.ces: set[str] = set()
        self.looked: datetime | None = None

    async def close(self) -> None:
        self.ces.clear()


def known_again(decisions: Mapping[Attempt, Decision]) -> set[str]:
    """CEs that know jobs which an earlier answer did not."""
    return {
        attempt.ce
        for attempt, decision in decisions.items()
        if attempt.ce and attempt.absent_since is not None and decision.columns.get("absent_since", 1) is None
    }


async def ease(rt: Runtime, decisions: Mapping[Attempt, Decision]) -> None:
    """End at once the brakes whose cause these answers have taken away. Costs nothing where none holds."""
    memory = rt.kept(_Brakes, _Brakes)
    if memory.ces and memory.ces & known_again(decisions):
        await _look(rt, memory)


async def look_after(rt: Runtime) -> Counts:
    """End the brakes whose cause is gone; looks now and then, however often it is called."""
    memory, now = rt.kept(_Brakes, _Brakes), rt.now()
    if memory.looked is not None and timedelta(0) <= now - memory.looked < LOOK_EVERY:
        return Counts()
    return await _look(rt, memory)


async def _look(rt: Runtime, memory: _Brakes) -> Counts:
    memory.looked = rt.now()
    holding = await rt.read(brakes.on)
    memory.ces = {row.source.removeprefix(CE) for row in holding if row.source.startswith(CE)}
    if not holding:
        return Counts()
    ended = await rt.write(_end_causeless, rt.settings.arc.brake, rt.now())
    for words in ended:
        logger.warning("the brake is off: %s", words)
    return Counts({"brakes off": len(ended)}) if ended else Counts()


def _end_causeless(session: Session, policy: Brake, now: datetime) -> list[str]:
    """What ended, in words."""
    ended = []
    for row in brakes.on(session):
        if (why := _gone(session, row, policy, now)) and brakes.end(session, row.id, why, now):
            ended.append(f"{row.id}, {row.kind} at {row.scope}: {why}")
    return ended


def _gone(session: Session, row: BrakeRow, policy: Brake, now: datetime) -> str:
    """Why there is nothing left to hold; empty: there is."""
    if Kind(row.kind) in brakes.MARKED:
        would, living = brakes.marked(session, row)
        if row.scope.startswith(QUEUE):  # of all CEs, as it was weighed
            living = max(living, row.living)
        recent = brakes.struck_since(session, row, now - policy.window)
        return "" if would + recent > allowed(living, policy) else "the answers know them again"
    quiet = timedelta(seconds=float(row.facts.get("quiet_s", 600)))
    return "its source says so no more" if now - row.seen_at > quiet else ""
