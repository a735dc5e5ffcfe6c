"""Runs, their messages while they are not finished, and the names of nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    counts = ("total", "ok", "failed", "cancelled")
    op.create_table(
        "process_run",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("correlation_id", sa.Text, nullable=False, unique=True),
        sa.Column("topology_id", sa.Text, nullable=False),
        sa.Column("topology_name", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in counts),
        sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_compact", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("folded", sa.Text),
        sa.Column("notice_due", sa.BigInteger),
        sa.Column("notice_tries", sa.Integer, nullable=False, server_default="0"),
    )
    _index("process_run_to_compact", "ended", "NOT is_compact AND ended IS NOT NULL")
    _index("process_run_cancelled", "is_cancelled", "is_cancelled")
    _index("process_run_notice", "notice_due", "notice_due IS NOT NULL")
    op.create_index("process_run_by_state", "process_run", ["state", "number"])
    op.create_table(
        "process_message",
        sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "process_node",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
    )


def _index(name: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "process_run", [column], sqlite_where=condition, postgresql_where=condition)
