"""What of descriptions is encrypted: read when a CE is given it, and wiped when the job is over."""

from collections.abc import Collection

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from act_core.db.bulk import chunks
from act_core.db.models import CeJob, Description


def sealed_texts(session: Session, ids: Collection[int]) -> dict[int, bytes]:
    """By description id; one that was wiped is not there."""
    found: dict[int, bytes] = {}
    for chunk in chunks(set(ids)):
        question = select(Description.id, Description.sealed).where(Description.id.in_(chunk))
        found |= {row.id: row.sealed for row in session.execute(question) if row.sealed is not None}
    return found


def wipe(session: Session, app: str, app_job_ids: Collection[str]) -> None:
    """These jobs need their secrets no more."""
    for chunk in chunks(sorted(set(app_job_ids))):
        theirs = select(CeJob.description_id).where(CeJob.app == app, CeJob.app_job_id.in_(chunk))
        held = select(Description.id).where(Description.id.in_(theirs), Description.sealed.is_not(None))
        if ids := sorted(session.scalars(held)):
            session.execute(
                update(Description)
                .where(Description.id.in_(ids))
                .values(sealed=None)
                .execution_options(synchronize_session=False)
            )
