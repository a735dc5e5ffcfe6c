"""The tables of the data storage."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "storage_chunks",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("part", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("collection", "part", "position"),
    )
    op.create_index("storage_chunks_collection", "storage_chunks", ["collection", "number"])
    op.create_index("storage_chunks_expires", "storage_chunks", ["expires"])
    op.create_table(
        "storage_values",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "storage_groups",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("first", sa.String(64), nullable=False),
        sa.Column("closed_by", sa.String(64)),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("storage_groups_expires", "storage_groups", ["expires"])
    op.create_table(
        "storage_members",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("part", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("group_id", "part"),
    )
