"""The engine's tables (architecture section 5). The ATLAS tables: `panda_models`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from act_core.db.types import BigId, UtcDateTime

# Keys are compared byte by byte; texts of other people are full Unicode.
BYTES: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}
LongBytes = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
# Rows that move to an archive: SQLite shall not give the id of one that left to a new one (MariaDB does not).
NEVER_AGAIN: dict[str, Any] = {"sqlite_autoincrement": True}
ERROR_LENGTH = 1024
NODE_LENGTH = 255
BATCH_ID_LENGTH = 80


NAMES = {kind: f"{kind}_%(table_name)s_%(column_0_N_name)s" for kind in ("ix", "uq", "fk")} | {
    "pk": "pk_%(table_name)s"
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON()}  # noqa: RUF012 - SQLAlchemy's own form


class Tower(Base):
    """One row: who we are, and how often we were started."""

    __tablename__ = "tower"
    __table_args__ = (BYTES,)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tower_id: Mapped[str] = mapped_column(String(16))
    generation: Mapped[int] = mapped_column(Integer)
    made: Mapped[datetime]
    counted_at: Mapped[datetime | None]  # `job_counts` and the applications' counts are of then


class Ce(Base):
    """One computing element: how it is reached, how much it may get, how it is doing."""

    __tablename__ = "ces"
    __table_args__ = (BYTES,)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(512), default="")
    kind: Mapped[str] = mapped_column(String(32))
    origin: Mapped[str] = mapped_column(String(16), default="config")  # config, cric, hand
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # of a CE that was added by hand
    maxjobs: Mapped[int]
    mode: Mapped[str] = mapped_column(String(12), default="on")  # on, rest, stop, drain, offline, abandoned
    mode_owner: Mapped[str | None] = mapped_column(String(64))
    mode_reason: Mapped[str | None] = mapped_column(String(255))
    mode_until: Mapped[datetime | None]
    mode_since: Mapped[datetime | None]
    named_mode: Mapped[str] = mapped_column(String(12), default="on", server_default="on")  # what its origin says
    named_reason: Mapped[str | None] = mapped_column(String(255))
    failures: Mapped[int] = mapped_column(Integer, default=0)  # in a row
    retry_at: Mapped[datetime | None]  # the breaker is open until then
    trouble: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    own_trouble: Mapped[bool] = mapped_column(default=False, server_default=false())  # it was our side that failed
    next_poll_at: Mapped[datetime | None]  # the next full status poll
    next_look_at: Mapped[datetime | None]  # the next look for ended jobs
    last_seen: Mapped[datetime | None]
    moved_at: Mapped[datetime | None]  # what was sent before went to another endpoint, `moved_from`
    moved_from: Mapped[str | None] = mapped_column(String(512))
    silent_s: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # it has not answered for so long
    silent_tries: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # errors at that last look
    silent_at: Mapped[datetime | None]  # the last look at its silence
    last_start: Mapped[datetime | None]  # a job of ours was last seen to begin there
    queued_since: Mapped[datetime | None]  # jobs of ours have been queued without a break since then
    sent: Mapped[list[Any] | None] = mapped_column(JSON)  # [moment, jobs] of the last minute, where `fill.rate` holds
    probe_at: Mapped[datetime | None]  # a black hole that rests gets one job then
    probe_job: Mapped[int | None] = mapped_column(BigId)  # the attempt that was sent to see
    capacity: Mapped[dict[str, Any] | None]
    capacity_at: Mapped[datetime | None]
    modified: Mapped[datetime]


class Placement(Base):
    """A set of candidate CEs."""

    __tablename__ = "placements"
    __table_args__ = (UniqueConstraint("digest"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))


class PlacementCe(Base):
    __tablename__ = "placement_ces"
    __table_args__ = (Index(None, "ce"), BYTES)
    placement_id: Mapped[int] = mapped_column(ForeignKey("placements.id"), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)


class Description(Base):
    """A job in nobody's dialect, as JSON of :class:`act_core.jobspec.JobSpec`."""

    __tablename__ = "job_descriptions"
    __table_args__ = (BYTES,)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    spec: Mapped[str] = mapped_column(LongText)
    sealed: Mapped[bytes | None] = mapped_column(LongBytes)  # texts of its sealed inputs, encrypted
    created: Mapped[datetime]


class AttemptColumns:
    """The columns of an attempt, alike in the hot table and in the archive."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    app: Mapped[str] = mapped_column(String(32))
    app_job_id: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    attempts_left: Mapped[int]
    submission_key: Mapped[str] = mapped_column(String(64))
    placement_id: Mapped[int] = mapped_column(BigId)
    ce: Mapped[str | None] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(12))
    state_since: Mapped[datetime]
    request: Mapped[str | None] = mapped_column(String(12))
    request_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer, default=0)
    remote_id: Mapped[str | None] = mapped_column(String(255))
    native_state: Mapped[str | None] = mapped_column(String(64))
    native_since: Mapped[datetime | None]  # the CE was first heard to say so; words of one limit count as one
    send_deadline: Mapped[datetime | None]
    inputs_sent_at: Mapped[datetime | None]
    absent_since: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    reruns: Mapped[int] = mapped_column(SmallInteger, default=0)
    submit_before: Mapped[datetime | None]
    vouched_until: Mapped[datetime | None]  # held from then on, until its application vouches for it again
    fence_s: Mapped[int | None]  # what follows it waits so long, at most, for its application to clear up
    fenced_until: Mapped[datetime | None]  # not sent before, unless its application lifts the fence
    ce_clean_at: Mapped[datetime | None]
    superseded_by: Mapped[str | None] = mapped_column(String(64))  # the successor's submission key
    released_at: Mapped[datetime | None]  # its application needs the row no longer
    news: Mapped[bool] = mapped_column(Boolean, default=False)
    priority: Mapped[int] = mapped_column(SmallInteger, default=50)
    share: Mapped[str] = mapped_column(String(128), default="")
    credential_id: Mapped[int | None] = mapped_column(BigId)  # the identity that submitted it
    proxy_copy: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # for its worker node
    proxy_until: Mapped[datetime | None]  # the end of that copy, which no renewal reaches
    cores_asked: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
    walltime_s: Mapped[int | None]  # that it will probably take
    rule: Mapped[str | None] = mapped_column(String(64))  # the error rule that was last applied
    description_id: Mapped[int] = mapped_column(BigId)
    exit_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    node: Mapped[str | None] = mapped_column(String(NODE_LENGTH))
    batch_id: Mapped[str | None] = mapped_column(String(BATCH_ID_LENGTH))  # what the CE's batch system calls it
    wall_s: Mapped[int | None]
    cpu_s: Mapped[int | None]
    memory_kb: Mapped[int | None] = mapped_column(BigId)
    cores: Mapped[int | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created: Mapped[datetime]
    modified: Mapped[datetime]


# What stands where is counted out of an index alone.
_STANDING = ("ce", "state", "share", "priority", "cores_asked", "app", "superseded_by", "cores", "state_since")


class CeJob(AttemptColumns, Base):
    """One row an attempt: the heart of the tower. Only `claims.settle` writes its state."""

    __tablename__ = "ce_jobs"
    __table_args__ = (
        UniqueConstraint("submission_key"),
        UniqueConstraint("app", "app_job_id", "attempt"),
        Index(None, "ce", "state", "due_at"),
        Index("ix_ce_jobs_standing", *_STANDING),
        Index(None, "state", "placement_id", "share", "priority", "id"),
        Index(None, "share", "state"),
        Index(None, "ce", "request"),
        Index(None, "ce", "remote_id"),
        Index(None, "app", "news"),
        Index(None, "released_at", "modified"),
        Index(None, "ended_at", "ce", "share", "state"),  # days of pages are read of it alone
        BYTES | NEVER_AGAIN,
    )


class CeJobArchive(AttemptColumns, Base):
    """Rows at rest."""

    __tablename__ = "ce_jobs_archive"
    __table_args__ = (
        UniqueConstraint("submission_key"),
        Index(None, "app", "app_job_id"),
        Index(None, "remote_id"),
        Index(None, "modified", "created", "state_since"),  # who was there at a moment
        Index(None, "placement_id", "modified"),
        BYTES,
    )


class CeJobEvent(Base):
    """What happened to an attempt; append-only."""

    __tablename__ = "ce_job_events"
    __table_args__ = (Index(None, "job_id", "at"), Index(None, "at"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(BigId)
    attempt: Mapped[int]
    at: Mapped[datetime]
    from_state: Mapped[str] = mapped_column(String(12))
    to_state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(ERROR_LENGTH))
    actor: Mapped[str] = mapped_column(String(64))
    ce: Mapped[str | None] = mapped_column(String(128))  # that it was at, or went to
    run_id: Mapped[int | None] = mapped_column(BigId)  # of `runs`; none: no run of Prefect's did it


class Run(Base):
    """A run of a stage, as Prefect knows it: events name it by a small number."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "at"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    flow_run: Mapped[str] = mapped_column(String(36))
    stage: Mapped[str] = mapped_column(String(32))
    holder: Mapped[str] = mapped_column(String(255))  # host:pid:start
    at: Mapped[datetime]


class Lease(Base):
    """Who works on a CE in a stage, until when."""

    __tablename__ = "leases"
    __table_args__ = (BYTES,)
    stage: Mapped[str] = mapped_column(String(32), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    token: Mapped[int] = mapped_column(BigId, default=0)
    holder: Mapped[str] = mapped_column(String(255))
    until: Mapped[datetime]


class JobCount(Base):
    """How many attempts stand where; rewritten by one lease holder."""

    __tablename__ = "job_counts"
    __table_args__ = (BYTES,)
    app: Mapped[str] = mapped_column(String(32), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    share: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(12), primary_key=True)
    n: Mapped[int]
    cores: Mapped[int]
    oldest: Mapped[datetime]


class HourlySlots(Base):
    """What a CE held during an hour: sums over the samples, of which one is taken a minute."""

    __tablename__ = "hourly_slots"
    __table_args__ = (BYTES,)
    hour: Mapped[str] = mapped_column(String(13), primary_key=True)  # 2026-11-21T09, UTC
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    samples: Mapped[int]
    queued: Mapped[int]  # jobs
    running: Mapped[int]  # jobs
    slots: Mapped[int]  # cores of the running ones


class DailyCount(Base):
    """Ended attempts of a day; added by the transaction that archives them."""

    __tablename__ = "daily_counts"
    __table_args__ = (Index(None, "day", "ce", "state", "n"), BYTES)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    app: Mapped[str] = mapped_column(String(32), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    share: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(12), primary_key=True)
    n: Mapped[int]
    wall_s: Mapped[int] = mapped_column(BigId)
    cpu_s: Mapped[int] = mapped_column(BigId)
