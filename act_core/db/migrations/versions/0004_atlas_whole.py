"""The ATLAS application whole: jobs wait for PanDA's word that they are still wanted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from act_core.db.types import UtcDateTime

LONG_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("ce_jobs", "ce_jobs_archive"):
        op.add_column(table, sa.Column("vouched_until", UtcDateTime(), nullable=True))
    op.add_column("job_descriptions", sa.Column("sealed", LONG_BYTES, nullable=True))
