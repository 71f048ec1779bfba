"""The tables of what the engine decides by: credentials, decisions, brakes, rules, orphans, downtimes."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from act_core.db.models import BYTES, ERROR_LENGTH, Base
from act_core.db.types import BigId


class CredentialRow(Base):
    """What is known of a credential; the secret itself lies in its file."""

    __tablename__ = "credentials"
    __table_args__ = (UniqueConstraint("path"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # x509-proxy, token
    subject: Mapped[str] = mapped_column(String(512))
    roles: Mapped[str] = mapped_column(String(512), default="")
    path: Mapped[str] = mapped_column(String(512))
    expires: Mapped[datetime]
    renewer: Mapped[str] = mapped_column(String(32), default="", server_default="")  # empty: somebody else renews it
    renewed_at: Mapped[datetime | None]
    trouble: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    modified: Mapped[datetime]


class LedgerLine(Base):
    """Why something is as it is: written when the reason changes; append-only."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index(None, "ce", "id"),
        Index(None, "job_id"),
        Index(None, "at"),
        Index(None, "topic", "at"),
        Index(None, "topic", "ce", "share", "job_id", "at"),  # what held at a moment
        BYTES,
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    topic: Mapped[str] = mapped_column(String(16))
    ce: Mapped[str] = mapped_column(String(128), default="")
    share: Mapped[str] = mapped_column(String(128), default="")
    job_id: Mapped[int] = mapped_column(BigId, default=0)  # 0: of no single job
    code: Mapped[str] = mapped_column(String(48))  # of `reasons.Reason`; empty: it is over
    n: Mapped[int] = mapped_column(Integer, default=0)  # jobs that it held when it began
    facts: Mapped[dict[str, Any]]


class Standing(Base):
    """The reason that holds now, for each subject; the newest line of the ledger."""

    __tablename__ = "ledger_now"
    __table_args__ = (Index(None, "job_id"), BYTES)
    topic: Mapped[str] = mapped_column(String(16), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    share: Mapped[str] = mapped_column(String(128), primary_key=True)
    job_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(String(48))
    since: Mapped[datetime]
    n: Mapped[int] = mapped_column(Integer, default=0)
    facts: Mapped[dict[str, Any]]


class BrakeRow(Base):
    """A mass action that was stopped, until somebody or a second source confirms it."""

    __tablename__ = "brakes"
    __table_args__ = (Index(None, "scope", "released_at"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    scope: Mapped[str] = mapped_column(String(160))  # ce:NAME or queue:NAME
    kind: Mapped[str] = mapped_column(String(16))  # lose, void, kill, abandon, clean
    source: Mapped[str] = mapped_column(String(160))  # whose word it was: ce:NAME, panda:SERVER
    n: Mapped[int]  # jobs that it would have struck
    living: Mapped[int]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]  # the source last said so
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None] = mapped_column(String(64))
    released_until: Mapped[datetime | None]  # the release lets this through until then
    passed: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # jobs that it has let through
    agreed_at: Mapped[datetime | None]  # a second source said the same for the first time
    facts: Mapped[dict[str, Any]]


class MassAction(Base):
    """How many living jobs a source of answers has struck, for the brake's window."""

    __tablename__ = "mass_actions"
    __table_args__ = (Index(None, "scope", "kind", "at"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    scope: Mapped[str] = mapped_column(String(160))
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(160))
    at: Mapped[datetime]
    n: Mapped[int]


class RuleHit(Base):
    """How often an error rule was applied."""

    __tablename__ = "rule_hits"
    __table_args__ = (BYTES,)
    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    n: Mapped[int]
    last_at: Mapped[datetime]
    last_job: Mapped[int] = mapped_column(BigId)
    window_at: Mapped[datetime]  # what `window_n` counts began then: several jobs make a CE rest, one does not
    window_n: Mapped[int]


class Orphan(Base):
    """A job on a CE that carries our name and belongs to no living row."""

    __tablename__ = "orphans"
    __table_args__ = (BYTES,)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    submission_key: Mapped[str] = mapped_column(String(64))
    known: Mapped[bool]  # its attempt is in our tables, and over
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    killed_at: Mapped[datetime | None]


class DowntimeRow(Base):
    """A downtime of a CE, announced or under way."""

    __tablename__ = "downtimes"
    __table_args__ = (UniqueConstraint("origin", "ce", "start"), Index(None, "ce", "end"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    origin: Mapped[str] = mapped_column(String(16))  # config, cric
    ce: Mapped[str] = mapped_column(String(128))
    start: Mapped[datetime]
    end: Mapped[datetime]
    mode: Mapped[str] = mapped_column(String(12), default="stop", server_default="stop")  # stop, offline
    reason: Mapped[str] = mapped_column(String(255), default="")


class OperatorMode(Base):
    """What an operator wants of the whole tower, a PanDA queue or a share; of CEs it stands in their rows."""

    __tablename__ = "operator_modes"
    __table_args__ = (BYTES,)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)  # tower, queue, share
    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # of the tower: empty
    server: Mapped[str] = mapped_column(String(128), primary_key=True, default="")  # of a queue
    mode: Mapped[str] = mapped_column(String(12))
    owner: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(255), default="")
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class AuditLine(Base):
    """What a person did to the tower, by which way; append-only."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at"), BYTES)
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))  # viewer, operator, admin; of the command line: admin
    via: Mapped[str] = mapped_column(String(64))  # cli, web, prefect; and from where
    deed: Mapped[str] = mapped_column(String(48))
    subject: Mapped[str] = mapped_column(String(255))
    done: Mapped[bool]  # False: it was refused
    facts: Mapped[dict[str, Any]]


class Recovery(Base):
    """One row while the tower finds its jobs again; none: it knows them."""

    __tablename__ = "recovery"
    __table_args__ = (BYTES,)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    began: Mapped[datetime]
    why: Mapped[str] = mapped_column(String(255))
    who: Mapped[str] = mapped_column(String(64))


class RecoveryCe(Base):
    """What a CE has told of our jobs in this recovery; a CE without a row was not asked yet."""

    __tablename__ = "recovery_ces"
    __table_args__ = (BYTES,)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))  # silent, read, without
    at: Mapped[datetime]
    trouble: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    listed: Mapped[int] = mapped_column(Integer, default=0)  # jobs of ours
    rebuilt: Mapped[int] = mapped_column(Integer, default=0)
    later: Mapped[int] = mapped_column(Integer, default=0)  # ended ones that wait until every CE has been read
    nameless: Mapped[int] = mapped_column(Integer, default=0)  # that nobody can tell whose they are
