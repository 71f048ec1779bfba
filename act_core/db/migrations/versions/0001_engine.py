"""The engine's tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from act_core.db.models import BYTES, LongText
from act_core.db.types import BigId, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _ce_job_events() -> None:
    op.create_table(
        "ce_job_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("job_id", BigId, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("from_state", sa.String(length=12), nullable=False),
        sa.Column("to_state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ce_job_events")),
        **BYTES,
    )
    op.create_index(op.f("ix_ce_job_events_at"), "ce_job_events", ["at"], unique=False)
    op.create_index(op.f("ix_ce_job_events_job_id"), "ce_job_events", ["job_id"], unique=False)


def _attempt() -> list[sa.Column[Any]]:
    """The columns of an attempt, at work or at rest."""
    return [*_order(), *_course(), *_outcome()]


def _order() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", BigId, nullable=False),
        sa.Column("app", sa.String(length=32), nullable=False),
        sa.Column("app_job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_left", sa.Integer(), nullable=False),
        sa.Column("submission_key", sa.String(length=64), nullable=False),
        sa.Column("placement_id", BigId, nullable=False),
        sa.Column("ce", sa.String(length=128), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("state_since", UtcDateTime(), nullable=False),
        sa.Column("request", sa.String(length=12), nullable=True),
        sa.Column("request_at", UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
    ]


def _course() -> list[sa.Column[Any]]:
    return [
        sa.Column("remote_id", sa.String(length=255), nullable=True),
        sa.Column("native_state", sa.String(length=64), nullable=True),
        sa.Column("send_deadline", UtcDateTime(), nullable=True),
        sa.Column("inputs_sent_at", UtcDateTime(), nullable=True),
        sa.Column("absent_since", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("reruns", sa.SmallInteger(), nullable=False),
        sa.Column("submit_before", UtcDateTime(), nullable=True),
        sa.Column("ce_clean_at", UtcDateTime(), nullable=True),
        sa.Column("superseded_by", sa.String(length=64), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("news", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("share", sa.String(length=128), nullable=False),
        sa.Column("credential_id", BigId, nullable=True),
        sa.Column("description_id", BigId, nullable=False),
    ]


def _outcome() -> list[sa.Column[Any]]:
    return [
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=1024), nullable=True),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.Column("wall_s", sa.Integer(), nullable=True),
        sa.Column("cpu_s", sa.Integer(), nullable=True),
        sa.Column("memory_kb", BigId, nullable=True),
        sa.Column("cores", sa.Integer(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("modified", UtcDateTime(), nullable=False),
    ]


def _ce_jobs() -> None:
    op.create_table(
        "ce_jobs",
        *_attempt(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ce_jobs")),
        sa.UniqueConstraint("app", "app_job_id", "attempt", name=op.f("uq_ce_jobs_app_app_job_id_attempt")),
        sa.UniqueConstraint("submission_key", name=op.f("uq_ce_jobs_submission_key")),
        sqlite_autoincrement=True,
        **BYTES,
    )
    op.create_index(op.f("ix_ce_jobs_app_news"), "ce_jobs", ["app", "news"], unique=False)
    op.create_index(op.f("ix_ce_jobs_ce_remote_id"), "ce_jobs", ["ce", "remote_id"], unique=False)
    op.create_index(op.f("ix_ce_jobs_ce_request"), "ce_jobs", ["ce", "request"], unique=False)
    op.create_index(op.f("ix_ce_jobs_ce_state_due_at"), "ce_jobs", ["ce", "state", "due_at"], unique=False)
    op.create_index(op.f("ix_ce_jobs_released_at_modified"), "ce_jobs", ["released_at", "modified"], unique=False)
    op.create_index(
        op.f("ix_ce_jobs_state_placement_id_share_priority_id"),
        "ce_jobs",
        ["state", "placement_id", "share", "priority", "id"],
        unique=False,
    )


def _ce_jobs_archive() -> None:
    op.create_table(
        "ce_jobs_archive",
        *_attempt(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ce_jobs_archive")),
        sa.UniqueConstraint("submission_key", name=op.f("uq_ce_jobs_archive_submission_key")),
        **BYTES,
    )
    op.create_index(op.f("ix_ce_jobs_archive_app_app_job_id"), "ce_jobs_archive", ["app", "app_job_id"], unique=False)
    op.create_index(op.f("ix_ce_jobs_archive_modified"), "ce_jobs_archive", ["modified"], unique=False)


def _ces() -> None:
    op.create_table(
        "ces",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=512), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("maxjobs", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=12), nullable=False),
        sa.Column("mode_owner", sa.String(length=64), nullable=True),
        sa.Column("mode_reason", sa.String(length=255), nullable=True),
        sa.Column("mode_until", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("trouble", sa.String(length=1024), nullable=True),
        sa.Column("next_poll_at", UtcDateTime(), nullable=True),
        sa.Column("next_look_at", UtcDateTime(), nullable=True),
        sa.Column("last_seen", UtcDateTime(), nullable=True),
        sa.Column("capacity", sa.JSON(), nullable=True),
        sa.Column("capacity_at", UtcDateTime(), nullable=True),
        sa.Column("modified", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ces")),
        **BYTES,
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("roles", sa.String(length=512), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("modified", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("path", name=op.f("uq_credentials_path")),
        **BYTES,
    )


def _daily_counts() -> None:
    op.create_table(
        "daily_counts",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("app", sa.String(length=32), nullable=False),
        sa.Column("ce", sa.String(length=128), nullable=False),
        sa.Column("share", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("wall_s", BigId, nullable=False),
        sa.Column("cpu_s", BigId, nullable=False),
        sa.PrimaryKeyConstraint("day", "app", "ce", "share", "state", name=op.f("pk_daily_counts")),
        **BYTES,
    )


def _job_counts() -> None:
    op.create_table(
        "job_counts",
        sa.Column("app", sa.String(length=32), nullable=False),
        sa.Column("ce", sa.String(length=128), nullable=False),
        sa.Column("share", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("oldest", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("app", "ce", "share", "state", name=op.f("pk_job_counts")),
        **BYTES,
    )


def _job_descriptions() -> None:
    op.create_table(
        "job_descriptions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("spec", LongText, nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_descriptions")),
        **BYTES,
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("ce", sa.String(length=128), nullable=False),
        sa.Column("token", BigId, nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "ce", name=op.f("pk_leases")),
        **BYTES,
    )


def _placements() -> None:
    op.create_table(
        "placements",
        sa.Column("id", BigId, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placements")),
        sa.UniqueConstraint("digest", name=op.f("uq_placements_digest")),
        **BYTES,
    )


def _tower() -> None:
    op.create_table(
        "tower",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tower_id", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("made", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tower")),
        **BYTES,
    )


def _placement_ces() -> None:
    op.create_table(
        "placement_ces",
        sa.Column("placement_id", BigId, nullable=False),
        sa.Column("ce", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["placement_id"], ["placements.id"], name=op.f("fk_placement_ces_placement_id")),
        sa.PrimaryKeyConstraint("placement_id", "ce", name=op.f("pk_placement_ces")),
        **BYTES,
    )
    op.create_index(op.f("ix_placement_ces_ce"), "placement_ces", ["ce"], unique=False)


def upgrade() -> None:
    _ce_job_events()
    _ce_jobs()
    _ce_jobs_archive()
    _ces()
    _credentials()
    _daily_counts()
    _job_counts()
    _job_descriptions()
    _leases()
    _placements()
    _tower()
    _placement_ces()
