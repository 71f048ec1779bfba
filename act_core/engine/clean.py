"""Leave nothing of ours on a CE, and bring rows at rest to the archive."""

from datetime import datetime

from act_core.ce.base import Accepted, Gone, Refused, RemoteId
from act_core.db import archive, queries
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.engine.settling import backoff, settle
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, CeState, Request

BATCH = 500


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


async def clean(rt: Runtime, ce: str) -> Counts:
    """Obey wishes to clean jobs that are over."""
    picked = await rt.read(queries.wished, ce, [Request.CLEAN], rt.now(), BATCH, ENDED | FINAL)
    if not picked:
        return Counts()
    left = [a.remote_id for a in picked if a.remote_id and a.ce_clean_at is None]
    answers = await (await rt.ce(ce)).clean(left) if left else {}
    now = rt.now()
    decisions: dict[Attempt, Decision] = {}
    for attempt in picked:
        nothing = attempt.remote_id is None or attempt.ce_clean_at is not None
        answer = Gone() if nothing else answers.get(attempt.remote_id or RemoteId(""))
        if decision := after_clean(attempt, answer, now):
            decisions[attempt] = decision
    return Counts(cleaned=len(decisions)) + await settle(rt, decisions, "clean")


async def archive_rows(rt: Runtime) -> Counts:
    """Move a chunk of rows at rest to the archive."""
    moved = await rt.write(archive.archive_attempts, rt.now() - rt.settings.arc.jobs.archiveafter)
    return Counts(archived=moved) if moved else Counts()
