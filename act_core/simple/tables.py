"""The application's own tables, and the life of a job as its owner sees it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from act_core.db.app_tables import make_tables, own_tables
from act_core.db.types import BigId, UtcDateTime

NAME = "simple"
ERROR_LENGTH = 1024


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Tables(DeclarativeBase):
    metadata = own_tables()
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy's own form


class Campaign(Tables):
    """One for each `act simple submit`; it stays when its jobs' rows have gone, so that no name comes twice."""

    __tablename__ = "simple_campaigns"
    name: Mapped[str] = mapped_column(String(48), primary_key=True)
    directory: Mapped[str] = mapped_column(String(1024))  # results lie below, by number
    resubmissions: Mapped[int]
    jobs: Mapped[int]
    done: Mapped[int] = mapped_column(Integer, default=0)  # this and the next two: once it is over
    failed: Mapped[int] = mapped_column(Integer, default=0)
    cancelled: Mapped[int] = mapped_column(Integer, default=0)
    created: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    cleaned_at: Mapped[datetime | None]  # its owner wants no more of it
    archived_at: Mapped[datetime | None]


class Job(Tables):
    """One job of a campaign, over all its attempts."""

    __tablename__ = "simple_jobs"
    __table_args__ = (
        UniqueConstraint("campaign", "number"),
        UniqueConstraint("app_job_id"),
        Index(None, "collect", "campaign"),
        Index(None, "campaign", "state"),  # counted
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign: Mapped[str] = mapped_column(String(48))
    number: Mapped[int]  # from 1
    app_job_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int]
    error: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    source: Mapped[str | None] = mapped_column(String(1024))  # where the engine left what came home
    collect: Mapped[bool] = mapped_column(Boolean, default=False)  # it is to be brought to its place
    outputs: Mapped[str | None] = mapped_column(String(1024))  # its place
    modified: Mapped[datetime]


class Count(Tables):
    """How many jobs of a campaign stand where, of campaigns that are not archived."""

    __tablename__ = "simple_counts"
    campaign: Mapped[str] = mapped_column(String(48), primary_key=True)
    state: Mapped[str] = mapped_column(String(12), primary_key=True)
    n: Mapped[int]


def bootstrap(session: Session) -> None:
    make_tables(session, NAME, Tables.metadata)
