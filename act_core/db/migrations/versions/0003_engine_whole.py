"""What the engine decides by: ledger, brakes, error rules, orphans, downtimes; more of attempts, CEs, credentials."""

import sqlalchemy as sa
from alembic import op

from act_core.db.models import BYTES
from act_core.db.types import BigId, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, length: int, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=null)


def _time(name: str, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _key(table: str, *names: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*names, name=op.f(f"pk_{table}"))


def _id() -> sa.Column[int]:
    return sa.Column("id", BigId, nullable=False)


def _index(table: str, *names: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(names)}"), table, list(names), unique=False)


def _ces() -> None:
    for name in ("mode_since", "queued_since", "probe_at"):
        op.add_column("ces", _time(name, null=True))
    op.add_column("ces", sa.Column("named_mode", sa.String(length=12), nullable=False, server_default="on"))
    op.add_column("ces", _text("named_reason", 255, null=True))
    op.add_column("ces", sa.Column("sent", sa.JSON(), nullable=True))
    op.add_column("ces", sa.Column("probe_job", BigId, nullable=True))
    op.execute(
        "UPDATE ces SET named_mode = mode, named_reason = mode_reason WHERE mode_owner IS NULL OR mode_owner = origin"
    )


def _columns() -> None:
    for table in ("ce_jobs", "ce_jobs_archive"):
        op.add_column(table, sa.Column("proxy_copy", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.add_column(table, _time("proxy_until", null=True))
        op.add_column(table, _time("native_since", null=True))
        op.add_column(table, sa.Column("cores_asked", sa.SmallInteger(), nullable=False, server_default="1"))
        op.add_column(table, sa.Column("walltime_s", sa.Integer(), nullable=True))
        op.add_column(table, _text("rule", 64, null=True))
    _index("ce_jobs", "ce", "state", "share", "priority", "cores_asked")
    _index("ce_jobs", "ended_at")
    op.add_column("ces", sa.Column("own_trouble", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("ces", _time("last_start", null=True))
    op.add_column("ces", sa.Column("silent_s", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("ces", sa.Column("silent_tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("ces", _time("silent_at", null=True))
    _ces()
    op.add_column("ces", sa.Column("options", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("credentials", sa.Column("renewer", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("credentials", _time("renewed_at", null=True))
    op.add_column("credentials", _text("trouble", 1024, null=True))


def _ledger() -> None:
    subject = ("topic", 16), ("ce", 128), ("share", 128)
    op.create_table(
        "ledger",
        _id(),
        _time("at"),
        *(_text(name, length) for name, length in subject),
        sa.Column("job_id", BigId, nullable=False),
        _text("code", 48),
        _number("n"),
        sa.Column("facts", sa.JSON(), nullable=False),
        _key("ledger", "id"),
        **BYTES,
    )
    for names in (("ce", "id"), ("job_id",), ("at",)):
        _index("ledger", *names)
    op.create_table(
        "ledger_now",
        *(_text(name, length) for name, length in subject),
        sa.Column("job_id", BigId, nullable=False, autoincrement=False),
        _text("code", 48),
        _time("since"),
        _number("n"),
        sa.Column("facts", sa.JSON(), nullable=False),
        _key("ledger_now", "topic", "ce", "share", "job_id"),
        **BYTES,
    )
    _index("ledger_now", "job_id")


def _brakes() -> None:
    op.create_table(
        "brakes",
        _id(),
        _text("scope", 160),
        _text("kind", 16),
        _text("source", 160),
        _number("n"),
        _number("living"),
        _time("since"),
        _time("seen_at"),
        _time("released_at", null=True),
        _text("released_by", 64, null=True),
        _time("released_until", null=True),
        sa.Column("passed", sa.Integer(), nullable=False, server_default="0"),
        _time("agreed_at", null=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        _key("brakes", "id"),
        **BYTES,
    )
    _index("brakes", "scope", "released_at")
    op.create_table(
        "mass_actions",
        _id(),
        _text("scope", 160),
        _text("kind", 16),
        _text("source", 160),
        _time("at"),
        _number("n"),
        _key("mass_actions", "id"),
        **BYTES,
    )
    _index("mass_actions", "scope", "kind", "at")


def _others() -> None:
    op.create_table(
        "rule_hits",
        _text("rule", 64),
        _text("ce", 128),
        _number("n"),
        _time("last_at"),
        sa.Column("last_job", BigId, nullable=False),
        _time("window_at"),
        _number("window_n"),
        _key("rule_hits", "rule", "ce"),
        **BYTES,
    )
    op.create_table(
        "orphans",
        _text("ce", 128),
        _text("remote_id", 255),
        _text("submission_key", 64),
        sa.Column("known", sa.Boolean(), nullable=False),
        _time("first_seen"),
        _time("last_seen"),
        _time("killed_at", null=True),
        _key("orphans", "ce", "remote_id"),
        **BYTES,
    )
    op.create_table(
        "downtimes",
        _id(),
        _text("origin", 16),
        _text("ce", 128),
        _time("start"),
        _time("end"),
        sa.Column("mode", sa.String(length=12), nullable=False, server_default="stop"),
        _text("reason", 255),
        _key("downtimes", "id"),
        sa.UniqueConstraint("origin", "ce", "start", name=op.f("uq_downtimes_origin_ce_start")),
        **BYTES,
    )
    _index("downtimes", "ce", "end")


def upgrade() -> None:
    _columns()
    _ledger()
    _brakes()
    _others()
