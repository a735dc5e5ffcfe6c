"""What tells that two entries are the same message, published twice."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; entries that are there have no twins."""
    op.add_column("trash", sa.Column("twin", sa.String(32)))
    op.create_index("trash_by_twin", "trash", ["twin"])
