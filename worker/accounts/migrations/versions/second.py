"""Webhooks are found by the digest of their token, and deliveries are claimed before they are taken."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns. Digests of tokens that are there come later: here nothing can be opened."""
    op.add_column("webhooks", sa.Column("token_digest", sa.Text))
    op.add_column("webhooks", sa.Column("parameters", sa.Text, nullable=False, server_default="{}"))
    op.create_index("webhooks_by_token", "webhooks", ["token_digest"])
    op.add_column("webhook_deliveries", sa.Column("claim", sa.Text, nullable=False, server_default=""))
