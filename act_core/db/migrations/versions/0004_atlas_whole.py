"""The ATLAS application whole: PanDA vouches for jobs, lost answers, fences of next attempts, books of days."""

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
        op.add_column(table, sa.Column("batch_id", sa.String(length=80), nullable=True))
        op.add_column(table, sa.Column("fence_s", sa.Integer(), nullable=True))
        op.add_column(table, sa.Column("fenced_until", UtcDateTime(), nullable=True))
    for table in ("panda_jobs", "panda_jobs_archive"):
        op.add_column(table, sa.Column("worker_due_at", UtcDateTime(), nullable=True))
        op.add_column(table, sa.Column("worker_id", BigId, nullable=True))
        op.add_column(table, sa.Column("worker_told", sa.String(length=16), nullable=True))
        op.add_column(table, sa.Column("sent_at", UtcDateTime(), nullable=True))
    op.create_index(op.f("ix_panda_jobs_worker_due_at"), "panda_jobs", ["worker_due_at"])
    op.add_column("job_descriptions", sa.Column("sealed", LONG_BYTES, nullable=True))
    _clearings()
    _panda_asks()
    _panda_queues()
    _handed_jobs()
    _books()


def _clearings() -> None:
    op.create_table(
        "output_clearings",
        sa.Column("next_key", sa.String(64), nullable=False),
        sa.Column("job_id", BigId, nullable=False),
        sa.Column("server", sa.String(128), nullable=False),
        sa.Column("panda_id", BigId, nullable=False),
        sa.Column("attempt_nr", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("files", LongText, nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("next_key", name=op.f("pk_output_clearings")),
        **BYTES,
    )
    op.create_index(op.f("ix_output_clearings_server_due_at"), "output_clearings", ["server", "due_at"])


def _panda_asks() -> None:
    op.create_table(
        "panda_asks",
        sa.Column("id", BigId, nullable=False),
        sa.Column("server", sa.String(length=128), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=12), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("panda_ids", LongText, nullable=True),
        sa.Column("why", sa.String(length=1024), nullable=True),
        sa.Column("looked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_panda_asks")),
        **BYTES,
    )
    op.create_index(op.f("ix_panda_asks_server_queue_until"), "panda_asks", ["server", "queue", "until"])
    op.create_index(op.f("ix_panda_asks_server_at"), "panda_asks", ["server", "at"])
    op.create_index(op.f("ix_panda_asks_looked_at_at"), "panda_asks", ["looked_at", "at"])


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


def _books() -> None:
    """How jobs ended, and what closed days came to."""
    for table in ("panda_jobs", "panda_jobs_archive"):
        op.add_column(table, sa.Column("ended_as", sa.String(12), nullable=True))
        op.add_column(table, sa.Column("cause", sa.String(64), nullable=True))
        op.add_column(table, sa.Column("unverified", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_panda_jobs_state_state_since", "panda_jobs", ["state", "state_since"])
    op.create_index("ix_panda_jobs_archive_server_state_since", "panda_jobs_archive", ["server", "state_since"])
    op.create_table(
        "daily_closings",
        *_keys("day", "server"),
        sa.Column("closed_at", UtcDateTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        **BYTES,
    )
    amounts = ("opening", "taken", "finished", "failed", "killed", "taken_back", "in_flight")
    op.create_table(
        "daily_books",
        *_keys("day", "server", "queue"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in amounts),
        **BYTES,
    )
    op.create_table(
        "daily_spent",
        *_keys("day", "server", "queue", "ce", "cause"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("core_s", BigId, nullable=False),
        **BYTES,
    )


def _keys(*names: str) -> list[sa.Column[str]]:
    lengths = {"day": 10, "cause": 96}
    return [sa.Column(name, sa.String(lengths.get(name, 128)), primary_key=True, nullable=False) for name in names]
