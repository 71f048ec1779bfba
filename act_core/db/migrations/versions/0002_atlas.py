"""The tables of the ATLAS application."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from act_core.db.models import BYTES, LongText
from act_core.db.types import BigId, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _panda_job() -> list[sa.Column[Any]]:
    """The columns of a PanDA job, at work or at rest."""
    return [
        sa.Column("id", BigId, nullable=False),
        sa.Column("server", sa.String(length=128), nullable=False),
        sa.Column("panda_id", BigId, nullable=False),
        sa.Column("attempt_nr", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("reporter", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("state_since", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(length=16), nullable=True),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("heartbeat_due_at", UtcDateTime(), nullable=True),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("job", LongText, nullable=False),
        sa.Column("secrets", sa.LargeBinary(length=65535), nullable=True),
        sa.Column("ce", sa.String(length=128), nullable=True),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("outputs", LongText, nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("check_due_at", UtcDateTime(), nullable=True),
        sa.Column("report", LongText, nullable=True),
        sa.Column("error", sa.String(length=1024), nullable=True),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("modified", UtcDateTime(), nullable=False),
    ]


def _panda_jobs() -> None:
    op.create_table(
        "panda_jobs",
        *_panda_job(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_panda_jobs")),
        sa.UniqueConstraint("server", "panda_id", "attempt_nr", name=op.f("uq_panda_jobs_server_panda_id_attempt_nr")),
        sqlite_autoincrement=True,
        **BYTES,
    )
    op.create_index(op.f("ix_panda_jobs_heartbeat_due_at"), "panda_jobs", ["heartbeat_due_at"], unique=False)
    op.create_index(op.f("ix_panda_jobs_state_check_due_at"), "panda_jobs", ["state", "check_due_at"], unique=False)
    op.create_index(op.f("ix_panda_jobs_state_modified"), "panda_jobs", ["state", "modified"], unique=False)
    op.create_index(op.f("ix_panda_jobs_state_queue_id"), "panda_jobs", ["state", "queue", "id"], unique=False)


def _panda_jobs_archive() -> None:
    op.create_table(
        "panda_jobs_archive",
        *_panda_job(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_panda_jobs_archive")),
        **BYTES,
    )
    op.create_index(op.f("ix_panda_jobs_archive_modified"), "panda_jobs_archive", ["modified"], unique=False)
    op.create_index(op.f("ix_panda_jobs_archive_panda_id"), "panda_jobs_archive", ["panda_id"], unique=False)


def _panda_queues() -> None:
    op.create_table(
        "panda_queues",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("served", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("parsed", sa.JSON(), nullable=False),
        sa.Column("raw", LongText, nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("fetch_due_at", UtcDateTime(), nullable=True),
        sa.Column("trouble", sa.String(length=1024), nullable=True),
        sa.Column("modified", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_panda_queues")),
        **BYTES,
    )


def upgrade() -> None:
    _panda_jobs()
    _panda_jobs_archive()
    _panda_queues()
