"""What operators see and do: counts with their age, hours of CEs, modes of queues and shares, an audit, runs."""

import sqlalchemy as sa
from alembic import op

from act_core.db.models import BYTES
from act_core.db.types import BigId, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
release = "0.2"


def upgrade() -> None:
    op.add_column("tower", sa.Column("counted_at", UtcDateTime(), nullable=True))
    op.add_column("ces", sa.Column("moved_at", UtcDateTime(), nullable=True))
    op.add_column("ces", sa.Column("moved_from", sa.String(512), nullable=True))
    op.add_column("ce_job_events", sa.Column("ce", sa.String(128), nullable=True))
    op.add_column("ce_job_events", sa.Column("run_id", BigId, nullable=True))
    op.create_index(op.f("ix_ce_jobs_archive_remote_id"), "ce_jobs_archive", ["remote_id"])
    op.create_index(op.f("ix_ce_jobs_share_state"), "ce_jobs", ["share", "state"])
    _past()
    op.create_index(op.f("ix_daily_counts_day_ce_state_n"), "daily_counts", ["day", "ce", "state", "n"])
    op.drop_index(op.f("ix_ce_jobs_ce_state_share_priority_cores_asked"), "ce_jobs")
    standing = ["ce", "state", "share", "priority", "cores_asked", "app", "superseded_by", "cores", "state_since"]
    op.create_index("ix_ce_jobs_standing", "ce_jobs", standing)
    ended = ["ended_at", "ce", "share", "state"]
    op.create_index(op.f("ix_ce_jobs_ended_at_ce_share_state"), "ce_jobs", ended)
    op.drop_index(op.f("ix_ce_jobs_ended_at"), "ce_jobs")
    counted = ["server", "queue", "state", "told", "cores", "state_since"]
    op.create_index("ix_panda_jobs_counted", "panda_jobs", counted)
    op.create_index(op.f("ix_handed_jobs_created"), "handed_jobs", ["created"])
    op.create_index(op.f("ix_ledger_topic_at"), "ledger", ["topic", "at"])
    _counts()
    _people()
    op.create_table(
        "runs",
        sa.Column("id", BigId, nullable=False),
        sa.Column("flow_run", sa.String(36), nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        **BYTES,
    )
    op.create_index(op.f("ix_runs_at"), "runs", ["at"])


def _past() -> None:
    """Indexes for questions about a moment that is over; the two wider ones answer what the dropped ones did."""
    for table, *names in (
        ("ce_job_events", "job_id", "at"),
        ("ce_jobs_archive", "modified", "created", "state_since"),
        ("ce_jobs_archive", "placement_id", "modified"),
        ("ledger", "topic", "ce", "share", "job_id", "at"),
    ):
        op.create_index(op.f(f"ix_{table}_{'_'.join(names)}"), table, names)
    op.drop_index(op.f("ix_ce_job_events_job_id"), "ce_job_events")
    op.drop_index(op.f("ix_ce_jobs_archive_modified"), "ce_jobs_archive")


def _counts() -> None:
    for table, key, width, number in (("hourly_slots", "hour", 13, sa.Integer()), ("daily_slots", "day", 10, BigId)):
        op.create_table(
            table,
            sa.Column(key, sa.String(width), nullable=False),
            sa.Column("ce", sa.String(128), nullable=False),
            sa.Column("samples", sa.Integer(), nullable=False),
            *(sa.Column(name, number, nullable=False) for name in ("queued", "running", "slots")),
            sa.PrimaryKeyConstraint(key, "ce", name=op.f(f"pk_{table}")),
            **BYTES,
        )
    op.create_table(
        "panda_counts",
        sa.Column("server", sa.String(128), nullable=False),
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("told", sa.String(16), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("oldest", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server", "queue", "state", "told", name=op.f("pk_panda_counts")),
        **BYTES,
    )


def _people() -> None:
    op.create_table(
        "operator_modes",
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("server", sa.String(128), nullable=False),
        sa.Column("mode", sa.String(12), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "name", "server", name=op.f("pk_operator_modes")),
        **BYTES,
    )
    op.create_table(
        "audit",
        sa.Column("id", BigId, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("via", sa.String(64), nullable=False),
        sa.Column("deed", sa.String(48), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        **BYTES,
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
