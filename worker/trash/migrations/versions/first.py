"""The table of version 0.1, which is left alone where it is there already."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table."""
    if sa.inspect(op.get_bind()).has_table("trash"):
        return
    texts = ("node_name", "topology_name", "correlation_id", "return_exchange", "return_routing_key", "headers")
    op.create_table(
        "trash",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("type", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("topology_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        sa.Column("user", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("body", sa.LargeBinary().with_variant(sa.Text(), "sqlite")),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
    )
    op.create_index("trash_by_state", "trash", ["state", "number"])
