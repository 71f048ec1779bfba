"""How many attempts stand where: counted once, read by everybody."""

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, JobCount
from act_core.runtime import Counts, Runtime


async def count_jobs(rt: Runtime, _key: str) -> Counts:
    """Rewrite `job_counts`; returns the newest attempts by state."""
    return await rt.write(_count)


def _count(session: Session) -> Counts:
    groups = (CeJob.app, CeJob.ce, CeJob.share, CeJob.state)
    found = session.execute(
        select(*groups, func.count(), func.sum(func.coalesce(CeJob.cores, 1)), func.min(CeJob.state_since))
        .where(CeJob.superseded_by.is_(None))
        .group_by(*groups)
    ).all()
    session.execute(delete(JobCount))
    rows = [
        {"app": app, "ce": ce or "", "share": share, "state": state, "n": n, "cores": int(cores), "oldest": oldest}
        for app, ce, share, state, n, cores, oldest in found
    ]
    if rows:
        session.execute(insert(JobCount), rows)
    states = Counts()
    for row in rows:
        states[str(row["state"])] += int(row["n"])
    return states
