"""The ATLAS application whole: jobs wait for PanDA's word that they are still wanted."""

import sqlalchemy as sa
from alembic import op

from act_core.db.types import BigId, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("ce_jobs", "ce_jobs_archive"):
        op.add_column(table, sa.Column("vouched_until", UtcDateTime(), nullable=True))
    for table in ("panda_jobs", "panda_jobs_archive"):
        op.add_column(table, sa.Column("worker_due_at", UtcDateTime(), nullable=True))
        op.add_column(table, sa.Column("worker_id", BigId, nullable=True))
        op.add_column(table, sa.Column("worker_told", sa.String(length=16), nullable=True))
    op.create_index(op.f("ix_panda_jobs_worker_due_at"), "panda_jobs", ["worker_due_at"])
