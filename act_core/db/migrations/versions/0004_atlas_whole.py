"""The ATLAS application whole: jobs wait for PanDA's word that they are still wanted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from act_core.db.models import BYTES, LongText
from act_core.db.types import BigId, UtcDateTime

LONG_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("ce_jobs", "ce_jobs_archive"):
        op.add_column(table, sa.Column("vouched_until", UtcDateTime(), nullable=True))
    op.add_column("job_descriptions", sa.Column("sealed", LONG_BYTES, nullable=True))
    _panda_queues()
    _handed_jobs()


def _handed_jobs() -> None:
    op.create_table(
        "handed_jobs",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("harvester_id", sa.String(length=64), nullable=False),
        sa.Column("worker_id", BigId, nullable=False),
        sa.Column("access_point", sa.String(length=1024), nullable=True),
        sa.Column("truepilot", sa.Boolean(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handed_jobs")),
        sa.UniqueConstraint("harvester_id", "worker_id", name=op.f("uq_handed_jobs_harvester_id_worker_id")),
        **BYTES,
    )


def _panda_queues() -> None:
    """Queues are known by server and name. CRIC, or its last good copy, fills the table again before it is used."""
    op.drop_table("panda_queues")
    op.create_table(
        "panda_queues",
        sa.Column("server", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("served", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("parsed", sa.JSON(), nullable=False),
        sa.Column("raw", LongText, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("fetch_due_at", UtcDateTime(), nullable=True),
        sa.Column("trouble", sa.String(length=1024), nullable=True),
        sa.Column("modified", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server", "name", name=op.f("pk_panda_queues")),
        **BYTES,
    )
    names = ["server", "served", "status"]
    op.create_index(op.f("ix_panda_queues_server_served_status"), "panda_queues", names, unique=False)
