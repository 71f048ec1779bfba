"""The ATLAS application whole: jobs wait for PanDA's word that they are still wanted."""

import sqlalchemy as sa
from alembic import op

from act_core.db.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("ce_jobs", "ce_jobs_archive"):
        op.add_column(table, sa.Column("vouched_until", UtcDateTime(), nullable=True))
    _queues()


def _queues() -> None:
    """An entry of CRIC that says the same is not written; served queues are found without reading all of them."""
    op.add_column("panda_queues", sa.Column("digest", sa.String(length=64), nullable=False, server_default=""))
    op.create_index(op.f("ix_panda_queues_served_status"), "panda_queues", ["served", "status"], unique=False)
