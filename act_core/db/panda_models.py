"""The ATLAS application's tables. The engine never reads them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from act_core.db.models import BYTES, ERROR_LENGTH, NEVER_AGAIN, Base, LongText
from act_core.db.types import BigId

LARGEST_SECRETS = 65_535  # bytes, encrypted


class PandaColumns:
    """A PanDA job as the tower sees it, alike in the hot table and in the archive."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    server: Mapped[str] = mapped_column(String(128))
    panda_id: Mapped[int] = mapped_column(BigId)
    attempt_nr: Mapped[int]
    queue: Mapped[str] = mapped_column(String(128))
    label: Mapped[str] = mapped_column(String(32))
    reporter: Mapped[str] = mapped_column(String(12), default="tower")
    state: Mapped[str] = mapped_column(String(12))
    state_since: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer, default=0)
    told: Mapped[str | None] = mapped_column(String(16))  # the last job_status that PanDA accepted
    told_at: Mapped[datetime | None]
    wanted: Mapped[str] = mapped_column(String(16), default="starting")  # the job_status that PanDA should have
    heartbeat_due_at: Mapped[datetime | None]
    refused: Mapped[int] = mapped_column(Integer, default=0)  # reports in a row that PanDA would not take
    job: Mapped[str] = mapped_column(LongText)  # raw, as JSON, without its secret fields
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary(LARGEST_SECRETS))  # encrypted; none once it is closed
    ce: Mapped[str | None] = mapped_column(String(128))
    node: Mapped[str | None] = mapped_column(String(255))
    cores: Mapped[int] = mapped_column(Integer, default=1)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outputs: Mapped[str | None] = mapped_column(LongText)  # files to validate, as JSON
    checks: Mapped[int] = mapped_column(Integer, default=0)  # rounds of validation without a verdict
    check_due_at: Mapped[datetime | None]
    report: Mapped[str | None] = mapped_column(LongText)  # the final update, until PanDA has accepted it
    sent_at: Mapped[datetime | None]  # the report was sent for the first time: it is never another one again
    error: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    worker_due_at: Mapped[datetime | None]  # PanDA may have to be told of its attempts, as harvester workers
    worker_id: Mapped[int | None] = mapped_column(BigId)  # the newest attempt that PanDA was told of
    worker_told: Mapped[str | None] = mapped_column(String(16))  # a digest of what PanDA was told of that one
    ended_as: Mapped[str | None] = mapped_column(String(12))  # for the books: `PandaEnd`, once it is closed
    cause: Mapped[str | None] = mapped_column(String(64))  # the code with which it failed
    unverified: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # outputs that nobody could check
    created: Mapped[datetime]
    modified: Mapped[datetime]


class PandaRow(PandaColumns, Base):
    __tablename__ = "panda_jobs"
    __table_args__ = (
        UniqueConstraint("server", "panda_id", "attempt_nr"),
        Index(None, "state", "queue", "id"),
        Index(None, "heartbeat_due_at"),
        Index(None, "worker_due_at"),
        Index(None, "state", "check_due_at"),
        Index(None, "state", "modified"),
        Index(None, "state", "state_since"),
        Index("ix_panda_jobs_counted", "server", "queue", "state", "told", "cores", "state_since"),  # read alone
        BYTES | NEVER_AGAIN,
    )


class PandaArchive(PandaColumns, Base):
    __tablename__ = "panda_jobs_archive"
    __table_args__ = (Index(None, "panda_id"), Index(None, "modified"), Index(None, "server", "state_since"), BYTES)


class Clearing(Base):
    """Outputs of a dead attempt that are in the way of the next one, which waits behind its fence."""

    __tablename__ = "output_clearings"
    __table_args__ = (Index(None, "server", "due_at"), BYTES)
    next_key: Mapped[str] = mapped_column(String(64), primary_key=True)  # submission key of the next attempt
    job_id: Mapped[int] = mapped_column(BigId)  # the dead attempt
    server: Mapped[str] = mapped_column(String(128))
    panda_id: Mapped[int] = mapped_column(BigId)
    attempt_nr: Mapped[int]
    queue: Mapped[str] = mapped_column(String(128))
    files: Mapped[str] = mapped_column(LongText)  # its own list, as JSON
    due_at: Mapped[datetime]
    created: Mapped[datetime]


class PandaAsk(Base):
    """A call for jobs whose answer is not booked: it is in the air, or PanDA may have reserved jobs that nobody has."""

    __tablename__ = "panda_asks"
    __table_args__ = (
        Index(None, "server", "queue", "until"),
        Index(None, "server", "at"),
        Index(None, "looked_at", "at"),
        BYTES,
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    server: Mapped[str] = mapped_column(String(128))
    queue: Mapped[str] = mapped_column(String(128))
    label: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    until: Mapped[datetime]  # by then PanDA has given up what it reserved
    asked: Mapped[int]  # jobs
    what: Mapped[str] = mapped_column(String(12))  # of `asks.What`
    n: Mapped[int]  # jobs that PanDA may have reserved, at most
    panda_ids: Mapped[str | None] = mapped_column(LongText)  # of those that were answered, with commas
    why: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    looked_at: Mapped[datetime | None]  # PanDA was asked what became of them


class PandaCount(Base):
    """How many PanDA jobs of the hot table stand where; rewritten with `job_counts`."""

    __tablename__ = "panda_counts"
    __table_args__ = (BYTES,)
    server: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(12), primary_key=True)  # ours: `PandaState`
    told: Mapped[str] = mapped_column(String(16), primary_key=True)  # PanDA's; empty: nothing was told yet
    n: Mapped[int]
    cores: Mapped[int]
    oldest: Mapped[datetime]  # since when the oldest is in that state of ours


class HandedJob(Base):
    """A job that a Harvester took from PanDA and handed over; `id` is that of its row in `panda_jobs`."""

    __tablename__ = "handed_jobs"
    __table_args__ = (UniqueConstraint("harvester_id", "worker_id"), Index(None, "created"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    harvester_id: Mapped[str] = mapped_column(String(64))
    worker_id: Mapped[int] = mapped_column(BigId)
    access_point: Mapped[str | None] = mapped_column(String(1024))  # directory that gets the final report
    truepilot: Mapped[bool]  # the pilot speaks to PanDA itself: no report is handed back
    created: Mapped[datetime]


class PandaQueue(Base):
    """A PanDA queue: what we use of CRIC's entry, and the raw entry."""

    __tablename__ = "panda_queues"
    __table_args__ = (Index(None, "server", "served", "status"), BYTES)
    server: Mapped[str] = mapped_column(String(128), primary_key=True)  # as in `panda_jobs`
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    served: Mapped[bool]
    why: Mapped[str | None] = mapped_column(String(255))  # it is not served
    status: Mapped[str] = mapped_column(String(16))
    parsed: Mapped[dict[str, Any]] = mapped_column(JSON)
    raw: Mapped[str] = mapped_column(LongText)
    digest: Mapped[str] = mapped_column(String(64), default="", server_default="")  # of both: who has it is not written
    seen_at: Mapped[datetime]  # when CRIC last said something new of it
    fetch_due_at: Mapped[datetime | None]
    trouble: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    modified: Mapped[datetime]


class ClosedDay(Base):
    """A day whose books are closed. Days are `YYYY-MM-DD`, in UTC."""

    __tablename__ = "daily_closings"
    __table_args__ = (BYTES,)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    server: Mapped[str] = mapped_column(String(128), primary_key=True)
    closed_at: Mapped[datetime]
    revision: Mapped[int]  # grows when somebody closes it again
    changed: Mapped[list[Any]] = mapped_column(JSON)  # by the last one, in words
    findings: Mapped[dict[str, Any]] = mapped_column(JSON)  # kind → [[job, why], …]


class DailyBook(Base):
    """The jobs of a closed day, by queue."""

    __tablename__ = "daily_books"
    __table_args__ = (BYTES,)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    server: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(128), primary_key=True)
    opening: Mapped[int]
    taken: Mapped[int]
    finished: Mapped[int]
    failed: Mapped[int]
    killed: Mapped[int]
    taken_back: Mapped[int]
    in_flight: Mapped[int]


class DailySpent(Base):
    """Core-seconds of a closed day, by queue, CE and what they went to."""

    __tablename__ = "daily_spent"
    __table_args__ = (BYTES,)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    server: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(128), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    cause: Mapped[str] = mapped_column(String(96), primary_key=True)
    attempts: Mapped[int]
    core_s: Mapped[int] = mapped_column(BigId)
