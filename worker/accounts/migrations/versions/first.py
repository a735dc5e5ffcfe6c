"""Installs, logins under way, webhooks and what they delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "installs",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("user", "application")),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("plain", "settings", "problem")),
        sa.Column("token", sa.Text),
        sa.Column("failures", sa.Integer, nullable=False),
        *_numbers("expires", "fence", "token_fence", "lease_until", "retry_at", "version", "created", "updated"),
    )
    op.create_table(
        "logins",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        *_numbers("expires"),
    )
    texts = ("user", "application", "name", "topology", "node", "sealed_token", "remote_id")
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        sa.Column("is_unsubscribe_failed", sa.Boolean, nullable=False),
        *_numbers("created"),
    )
    op.create_index("webhooks_by_place", "webhooks", ["topology", "node"])
    op.create_table(
        "webhook_deliveries",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("webhook", "delivery")),
        *_numbers("received"),
    )
    op.create_index("webhook_deliveries_by_time", "webhook_deliveries", ["received"])


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
