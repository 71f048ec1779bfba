"""A tower that finds its jobs again on the CEs: that it does, and what each CE has told."""

import sqlalchemy as sa
from alembic import op

from act_core.db.models import BYTES, ERROR_LENGTH
from act_core.db.types import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
release = "0.3"


def upgrade() -> None:
    op.create_table(
        "recovery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("began", UtcDateTime(), nullable=False),
        sa.Column("why", sa.String(255), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery")),
        **BYTES,
    )
    op.create_table(
        "recovery_ces",
        sa.Column("ce", sa.String(128), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("trouble", sa.String(ERROR_LENGTH), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("listed", "rebuilt", "later", "nameless")),
        sa.PrimaryKeyConstraint("ce", name=op.f("pk_recovery_ces")),
        **BYTES,
    )
