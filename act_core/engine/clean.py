"""Leave nothing of ours on a CE, and bring rows at rest to the archive."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from act_core.ce.base import Accepted, ComputingElement, Gone, Refused, RemoteId
from act_core.db import archive, cleaning, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.belief import heard
from act_core.engine.settling import backoff, settle
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, CeState, Request

BATCH = 500
MAY_RUN = {CeState.LOST, CeState.ABANDONED}


def after_clean(attempt: Attempt, answer: Accepted | Gone | Refused | None, now: datetime) -> Decision | None:
    """What the CE's answer to a clean means; refused, it is asked again later."""
    if answer is None:
        return None
    if isinstance(answer, Refused):
        return Stay({"due_at": now + backoff(attempt.tries), "tries": attempt.tries + 1}, reason=f"clean: {answer.why}")
    columns = {"ce_clean_at": now, "due_at": None}
    if attempt.state in ENDED:
        return Move(CeState.DONEFAILED, "cleaned before its outputs were fetched", columns, wish_done=True)
    return Stay(columns, reason="cleaned on the CE", wish_done=True)


def kept(attempt: Attempt, now: datetime, keep: timedelta) -> Stay | None:
    """A failed job stays on its CE for a while, for the site to look at. One with a `due_at` was wished by hand."""
    until = attempt.state_since + keep
    there = attempt.remote_id is not None and attempt.ce_clean_at is None
    if attempt.state is not CeState.DONEFAILED or attempt.due_at is not None or not there or until <= now:
        return None
    return Stay({"due_at": until})


async def clean(rt: Runtime, ce: str) -> Counts:
    """Obey wishes to clean jobs that are over."""
    picked = await rt.read(queries.wished, ce, [Request.CLEAN], rt.now(), BATCH, ENDED | FINAL)
    if not picked:
        return Counts()
    decisions = await _keep(rt, ce, picked)
    picked = [attempt for attempt in picked if attempt not in decisions]
    left = [a.remote_id for a in picked if a.remote_id and a.ce_clean_at is None]
    answers = await heard(rt, ce, picked, await _removed(await rt.ce(ce), picked, left)) if left else {}
    now = rt.now()
    cleaned: dict[Attempt, Decision] = {}
    for attempt in picked:
        nothing = attempt.remote_id is None or attempt.ce_clean_at is not None
        answer = Gone() if nothing else answers.get(attempt.remote_id or RemoteId(""))
        if decision := after_clean(attempt, answer, now):
            cleaned[attempt] = decision
    return Counts(cleaned=len(cleaned)) + await settle(rt, decisions | cleaned, "clean")


async def _removed(
    end: ComputingElement, picked: Sequence[Attempt], left: Collection[RemoteId]
) -> Mapping[RemoteId, Accepted | Gone | Refused]:
    """A clean does not kill (arc-rest.md): what may still run there is killed first."""
    if alive := [a.remote_id for a in picked if a.state in MAY_RUN and a.remote_id in left and a.remote_id]:
        await end.cancel(alive)
    return await end.clean(left)


async def _keep(rt: Runtime, ce: str, picked: Sequence[Attempt]) -> dict[Attempt, Decision]:
    """Failed jobs that stay for now: the newest `clean.keepatmost`; older ones that stayed until now make place."""
    policy, now = rt.settings.arc.clean, rt.now()
    new = {attempt: stay for attempt in picked if (stay := kept(attempt, now, policy.keepfailed))}
    if not new:
        return {}
    newest = sorted(new, key=lambda attempt: attempt.state_since, reverse=True)[: policy.keepatmost]
    older = await rt.read(cleaning.kept, ce, now, policy.keepatmost - len(newest))
    stays: dict[Attempt, Decision] = {attempt: new[attempt] for attempt in newest}
    return stays | {attempt: Stay({"due_at": now}) for attempt in older}


async def archive_rows(rt: Runtime) -> Counts:
    """Move a chunk of rows at rest to the archive."""
    moved = await rt.write(archive.archive_attempts, rt.now() - rt.settings.arc.jobs.archiveafter)
    return Counts(archived=moved) if moved else Counts()
