"""What the forecast asks of the attempts on the CEs: until when each will need its credentials."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.due import LIVING_WORDS, in_state
from act_core.db.models import Ce, CeJob
from act_core.db.policy_models import Standing
from act_core.reasons import Topic
from act_core.states import CeState


@dataclass(frozen=True, slots=True)
class Outlook:
    """A living job, as far as the end of its credentials matters."""

    id: int
    state: CeState
    since: datetime
    started: datetime | None
    walltime: timedelta | None
    credential_id: int | None
    proxy_until: datetime | None


def outlooks(session: Session, ce: str) -> Sequence[Outlook]:
    """The living jobs of a CE."""
    columns = (
        CeJob.id, CeJob.state, CeJob.state_since, CeJob.started_at, CeJob.walltime_s, CeJob.credential_id,
        CeJob.proxy_until,
    )  # fmt: skip
    rows = session.execute(select(*columns).where(CeJob.ce == ce, CeJob.state.in_(LIVING_WORDS)))
    return [
        Outlook(one, CeState(state), since, started, None if wall is None else timedelta(seconds=wall), by, until)
        for one, state, since, started, wall, by, until in rows
    ]


def with_living_jobs(session: Session) -> list[str]:
    """The CEs that have any, whatever their mode and breaker."""
    return list(session.scalars(select(Ce.name).where(in_state(LIVING_WORDS)).order_by(Ce.name)))


def told_of(session: Session) -> list[str]:
    """The CEs of which the ledger says that a credential ends."""
    question = select(Standing.ce).where(Standing.topic == Topic.CREDENTIAL.value, Standing.ce != "")
    return list(session.scalars(question))
