"""Jobs on a CE that carry our name and that no living attempt stands for: killed late, reported, or taken back.

One whose attempt is over is killed when it has been seen twice, `reconcile.sightings` apart. One whose key is in no
table is reported, and killed only where `reconcile.orphans` says so. One whose attempt waits to be sent was forgotten
by a database that was restored: the attempt takes it back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.ce.base import ComputingElement, RemoteId, SubmissionKey
from act_core.db import brakes, orphans, queries
from act_core.db.attempts import Attempt
from act_core.db.brakes import CE, Kind, Weighed
from act_core.db.ledger import Line
from act_core.db.orphans import Sighted
from act_core.decisions import Move
from act_core.engine.brake import told, weigh
from act_core.engine.settling import settle
from act_core.ids import is_trial
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Reconcile
from act_core.states import FINAL, ON_CE, CeState

logger = log(__name__)
QUIET = timedelta(hours=2)  # a CE's whole list is read each 30 minutes
AGAIN = timedelta(minutes=5)  # a kill that had no effect is sent again


@dataclass(frozen=True, slots=True)
class Odd:
    """What a list names beside what our rows expect there."""

    dead: Mapping[RemoteId, SubmissionKey]  # the attempt is over, or it was a trial (`act ces test`)
    late: Mapping[RemoteId, SubmissionKey]  # of these: it was taken for void
    unknown: Mapping[RemoteId, SubmissionKey]
    living: Mapping[RemoteId, SubmissionKey]  # the attempt has a job, maybe this one
    waiting: Mapping[SubmissionKey, RemoteId]  # the attempt was never sent, as far as our rows say


def sorted_out(mine: Mapping[RemoteId, SubmissionKey], states: Mapping[SubmissionKey, CeState]) -> Odd:
    """What these jobs are, by the states of the attempts with their keys. Living ones are none of these."""
    dead = {job: key for job, key in mine.items() if states.get(key) in FINAL or is_trial(key)}
    return Odd(
        dead,
        {job: key for job, key in dead.items() if states.get(key) is CeState.VOID},
        {job: key for job, key in mine.items() if key not in states and job not in dead},
        {job: key for job, key in mine.items() if states.get(key) in ON_CE - {CeState.SUBMITTING}},
        {key: job for job, key in mine.items() if states.get(key) is CeState.TOSUBMIT},
    )


def ripe(seen: Collection[Sighted], policy: Reconcile, now: datetime) -> list[Sighted]:
    """Those to be killed now: seen twice, far enough apart, and not killed a moment ago."""
    return [
        one
        for one in seen
        if (one.known or policy.orphans == "kill")
        and now - one.first_seen >= policy.sightings
        and (one.killed_at is None or now - one.killed_at >= AGAIN)
    ]


async def look(rt: Runtime, ce: str, end: ComputingElement, mine: Mapping[RemoteId, SubmissionKey]) -> Counts:
    """Remember, tell and kill. `mine`: what the CE's list names of ours, without what was adopted just now."""
    states: Mapping[SubmissionKey, CeState] = await rt.read(queries.by_keys, list(mine.values())) if mine else {}
    odd, now, policy = sorted_out(mine, states), rt.now(), rt.settings.arc.reconcile
    counts = await _taken_back(rt, ce, odd.waiting, now)
    double = await _double(rt, ce, odd.living)
    odd = replace(odd, dead={**odd.dead, **double})
    named = {job: (key, True) for job, key in odd.dead.items()} | {
        job: (key, False) for job, key in odd.unknown.items()
    }
    seen = await rt.write(orphans.sight, ce, named, now)
    await _tell(rt, ce, end, odd, [one for one in seen if one.first_seen == now])
    counts += Counts({word: n for word, n in (("orphans", len(odd.dead)), ("unknown keys", len(odd.unknown))) if n})
    return counts + await _kill(rt, ce, end, ripe(seen, policy, now), now)


async def _double(rt: Runtime, ce: str, living: Mapping[RemoteId, SubmissionKey]) -> dict[RemoteId, SubmissionKey]:
    """Of these, the jobs whose attempt has another one, which its CE knows: what was sent twice runs twice."""
    if not living:
        return {}
    held = await rt.read(orphans.places, set(living.values()))
    double = {job: key for job, key in living.items() if held.get(key, (ce, job)) != (ce, job)}
    if double:
        logger.warning("ce=%s %d jobs stand beside another one of the same attempt: %s", ce, len(double), [*double][:3])
    return double


async def _taken_back(rt: Runtime, ce: str, waiting: Mapping[SubmissionKey, RemoteId], now: datetime) -> Counts:
    """The attempt is in doubt now, and the next list lets it have its job."""
    if not waiting:
        return Counts()
    rows = await rt.read(orphans.returned, list(waiting))
    found: dict[Attempt, Move] = {}
    for attempt in rows:
        words = f"it is on {ce} as {waiting[attempt.key]} already: was the database restored?"
        found[attempt] = Move(CeState.SUBMITTING, words, {"ce": ce, "send_deadline": now, "due_at": now})
    logger.warning("ce=%s %d jobs are there whose attempts wait to be sent: was the database restored?", ce, len(found))
    return await settle(rt, found, "reconcile")


async def _tell(rt: Runtime, ce: str, end: ComputingElement, odd: Odd, new: Collection[Sighted]) -> None:
    fresh = {one.remote_id for one in new}
    if late := [key for job, key in odd.late.items() if job in fresh]:
        may_run = "they wait for an input that never comes" if end.traits.two_phase else "THEY MAY RUN, beside the next"
        logger.warning(
            "ce=%s %d jobs arrived after they were given up as void; %s: %s", ce, len(late), may_run, late[:3]
        )
    if unknown := [key for job, key in odd.unknown.items() if job in fresh]:
        logger.warning("ce=%s %d jobs carry our name and an unknown key: %s", ce, len(unknown), unknown[:3])
    reason, n = None, len(odd.unknown) or len(odd.dead)
    if n:
        reason = Reason.ORPHANS_UNKNOWN if odd.unknown else Reason.ORPHANS_KNOWN
    facts = {"ce": ce, "n": n, "policy": rt.settings.arc.reconcile.orphans}
    await rt.note([Line(Topic.ORPHANS, reason, ce, n=n, facts=facts)])


async def _kill(rt: Runtime, ce: str, end: ComputingElement, due: Collection[Sighted], now: datetime) -> Counts:
    """Through the brake: a list that is wrong about many is one witness."""
    if not due:
        return Counts()
    again = [one.remote_id for one in due if one.killed_at is not None]
    first = [one.remote_id for one in due if one.killed_at is None]
    may, held, new = await rt.write(_may_kill, rt.settings, ce, sorted(first), now)
    for brake, weighed in new:
        told(brake, weighed)
    if jobs := again + may:
        logger.info("ce=%s killing %d jobs whose attempts are over: %s", ce, len(jobs), jobs[:3])
        await end.cancel(jobs)
        await end.clean(jobs)
        await rt.write(orphans.killed, ce, jobs, now)
    return Counts({word: n for word, n in (("killed orphans", len(jobs)), ("braked", held)) if n})


def _may_kill(
    session: Session, settings: Settings, ce: str, jobs: list[RemoteId], now: datetime
) -> tuple[list[RemoteId], int, list[tuple[int, Weighed]]]:
    """(what may be killed, how many may not, brakes that have gone on)."""
    policy, scope = settings.arc.brake, CE + ce
    brakes.alone(session)
    known = brakes.numbers(session, ce, Kind.ORPHANS, scope, (), now - policy.window, now)
    brake, left = known.left.get(scope, (0, 0))
    released, rest = jobs[:left], jobs[left:]
    if released:
        brakes.passed(session, brake, len(released))
    if not rest:
        return released, 0, []
    if weighed := weigh(len(rest), Kind.ORPHANS, scope, scope, known, policy):
        new = brakes.engage(session, weighed, QUIET, now, {})
        return released, len(rest), [(new, weighed)] if new else []
    brakes.strike(session, {scope: len(rest)}, Kind.ORPHANS, scope, now)
    return jobs, 0, []
