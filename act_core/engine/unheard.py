"""Jobs of applications that the configuration does not name any more: somebody is told, since nobody hears of them."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.models import JobCount
from act_core.reasons import Reason, Topic
from act_core.runtime import Runtime
from act_core.states import FINAL

_FINAL = tuple(sorted(state.value for state in FINAL))


def _open(session: Session) -> dict[str, int]:
    """How many newest attempts are not over, by application; as they were last counted."""
    question = select(JobCount.app, func.sum(JobCount.n)).where(JobCount.state.not_in(_FINAL)).group_by(JobCount.app)
    return {app: int(n) for app, n in session.execute(question).tuples()}


async def tell_unheard(rt: Runtime, heard: Collection[str]) -> None:
    """Write it down, and end what holds no more. `heard`: the applications of this tower, with their instances."""
    gone = {app: n for app, n in (await rt.read(_open)).items() if app not in heard}
    known = [row.share for row in await rt.read(ledger.standing) if row.topic == Topic.APP]
    lines = [Line(Topic.APP, Reason.APP_GONE, share=app, n=n, facts={"n": n}) for app, n in sorted(gone.items())]
    await rt.note([*lines, *(Line(Topic.APP, None, share=app) for app in known if app not in gone)])
    if lines:
        await rt.write(ledger.correct, lines)
