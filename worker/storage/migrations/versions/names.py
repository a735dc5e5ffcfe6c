"""Names of the collections and the number of their items, for people who look."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them. Collections that are there already stay without a name until they expire, within a day."""
    op.add_column("storage_chunks", sa.Column("item_count", sa.Integer, nullable=False, server_default="0"))
    # Holds all that counting needs: SQLite would read each body to reach a column behind it.
    op.create_index("storage_chunks_items", "storage_chunks", ["collection", "expires", "item_count"])
    op.create_table(
        "storage_collections",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("storage_collections_expires", "storage_collections", ["expires"])
