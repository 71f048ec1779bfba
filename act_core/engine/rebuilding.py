"""A CE's own jobs, read for a tower that has lost its database: what each of them is, and the attempts written anew."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from act_core.ce.base import ComputingElement, RemoteId, SubmissionKey, TowerId
from act_core.db import orphans, queries, rebuilding, recovery
from act_core.db.attempts import Attempt
from act_core.db.bulk import chunks
from act_core.db.rebuilding import Known, Rebuilt
from act_core.db.recovery import OfCe, Stand, Told
from act_core.engine import marks
from act_core.engine.identity import identity
from act_core.engine.marks import Found, Mark
from act_core.errors import VERDICTS, BadInput, Transient
from act_core.ids import is_trial
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, CeState

logger = log(__name__)
BATCH = 500
MOVED_S = 0.2  # in which a CE moves a job
OVER = ENDED | {CeState.CANCELLED, CeState.LOST}


class Fate(StrEnum):
    """What becomes of it."""

    LIVES = "rebuilt"
    UNWANTED = "unwanted"  # its application says that the job is over: cleaned away
    BEHIND = "behind"  # a later attempt is known: dead when that was made, so that it is killed like any orphan
    LATER = "later"  # it has ended, and a later attempt may be at a CE that has not been read
    NOBODYS = "nobodys"  # another key has its number: reported, and left alone


# Of an application's jobs: the ids of those that are over.
Judge = Callable[[Sequence[Found]], Awaitable[Collection[tuple[str, str]]]]


def fate(found: Found, known: Sequence[Known], over: bool, others_unread: bool) -> Fate:
    """`known`: attempts of the same job; `over`: its application wants none; `others_unread`: there are such CEs."""
    if any(one.attempt == found.mark.attempt for one in known):
        return Fate.NOBODYS
    if any(one.attempt > found.mark.attempt for one in known):
        return Fate.BEHIND
    if over:
        return Fate.UNWANTED
    return Fate.LATER if others_unread and found.seen.state in OVER else Fate.LIVES


@dataclass(slots=True)
class Plan:
    """What is written of a batch."""

    new: list[Rebuilt]
    passed: dict[SubmissionKey, Attempt]
    fates: Counts


def planned(
    found: Sequence[Found],
    known: Mapping[tuple[str, str], Sequence[Known]],
    over: Collection[tuple[str, str]],
    others_unread: bool,
    two_phase: bool,
) -> Plan:
    """Later attempts first, so that of two in one list the earlier one is behind."""
    plan, there = Plan([], {}, Counts()), {name: list(ones) for name, ones in known.items()}
    for one in sorted(found, key=lambda one: (-one.mark.attempt, one.key)):
        name = (one.mark.app, one.mark.job)
        mine = there.setdefault(name, [])
        what = fate(one, mine, name in over, others_unread)
        plan.fates[what.value] += 1
        if what in (Fate.NOBODYS, Fate.LATER):
            continue
        later = max(mine, key=lambda known: known.attempt).key if what is Fate.BEHIND else None
        plan.new.append(_rebuilt(one, what, later, two_phase))
        if what is not Fate.BEHIND and (rows := [known.row for known in mine if known.row]):
            plan.passed[one.key] = max(rows, key=lambda row: row.attempt)
        mine.append(Known(one.mark.attempt, one.key, None))
    return plan


def _rebuilt(one: Found, what: Fate, later: SubmissionKey | None, two_phase: bool) -> Rebuilt:
    mark = one.mark
    return Rebuilt(
        *(mark.app, mark.job, mark.attempt, one.key, one.remote_id, mark.share, mark.spec),
        commit=mark.bare and two_phase,
        unwanted=what is Fate.UNWANTED,
        behind=later,
    )


async def read_ce(rt: Runtime, ce: str, stand: Stand, judge: Judge) -> Counts:
    """Read its whole list, ask the applications, write the attempts anew. A CE that does not answer stays unread."""
    others = bool(stand.unread - {ce})
    try:
        end = await rt.ce(ce)
        shown = await identity(rt, ce)
        credential = shown.credential_id if shown else None
        found, nameless = await found_there(rt, ce, end)
        counts = Counts(nameless=nameless) if nameless else Counts()
        for batch in chunks(found, BATCH):
            over = await judge(batch)
            counts += await _enter(rt, ce, batch, over, others, end.traits.two_phase, credential)
    except VERDICTS as err:
        await rt.write(recovery.told, OfCe(ce, Told.SILENT, trouble=str(err)), rt.now())
        raise
    nobodys = nameless + counts[Fate.NOBODYS]
    told = OfCe(ce, Told.READ, None, None, len(found) + nameless, counts[Fate.LIVES], counts[Fate.LATER], nobodys)
    await rt.write(recovery.told, told, rt.now())
    logger.info("ce=%s was read: %d jobs that no table knew: %s", ce, len(found) + nameless, dict(counts))
    return counts


async def found_there(rt: Runtime, ce: str, end: ComputingElement) -> tuple[list[Found], int]:
    """Jobs of ours that no table knows, and how many carry no mark. Raises Transient for a list that is not whole."""
    listed = await listed_twice(end, rt.tower, await rt.read(orphans.expected, ce))
    known = await rt.read(queries.by_keys, list(listed.values())) if listed else {}
    mine = {job: key for job, key in listed.items() if key not in known and not is_trial(key)}
    found: list[Found] = []
    nameless = 0
    for jobs in chunks(mine, BATCH):
        told, seen = await end.marks(jobs), await end.states(jobs)
        if silent := [job for job in jobs if job in seen and job not in told]:
            raise Transient(f"the descriptions of {len(silent)} jobs were not told")
        for job in jobs:
            mark = _mark(ce, job, told.get(job, ""))
            if mark is None:
                nameless += job in seen
            elif job in seen:
                found.append(Found(job, mine[job], mark, seen[job]))
    return found, nameless


async def listed_twice(
    end: ComputingElement, tower: TowerId, expected: Collection[RemoteId]
) -> dict[RemoteId, SubmissionKey]:
    """What either of two lists names: one alone may leave out a job that the CE moves from one state to the next.

    `expected`: need not be named. Raises Transient for a list that is not whole.
    """
    found: dict[RemoteId, SubmissionKey] = {}
    for again in (False, True):
        if again:
            await asyncio.sleep(MOVED_S)
        listing = await end.list_mine(tower, {*expected, *found})
        if not listing.complete:
            raise Transient(f"the names of {len(listing.nameless)} jobs are not told yet")
        found |= listing.mine
    return found


def _mark(ce: str, job: RemoteId, text: str) -> Mark | None:
    try:
        return marks.read(text) if text else None
    except BadInput as err:
        logger.warning("ce=%s job %s: %s", ce, job, err)
        return None


async def _enter(
    rt: Runtime,
    ce: str,
    batch: Sequence[Found],
    over: Collection[tuple[str, str]],
    others: bool,
    two_phase: bool,
    credential: int | None,
) -> Counts:
    names = {(one.mark.app, one.mark.job) for one in batch}
    plan = planned(batch, await rt.read(rebuilding.known, names), over, others, two_phase)
    await rt.write(rebuilding.enter, ce, plan.new, plan.passed, credential, rt.now())
    return plan.fates
