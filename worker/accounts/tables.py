"""The tables of installs, logins, webhooks and their deliveries, as the newest migration leaves them."""

from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

from worker.database.migrate import Chain

VERSION_TABLE = "applications_version"
CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, head="0003", lock=7_239_412_881)
"""Workers of earlier versions know the tables by these: they migrate the same ones at the same time."""

metadata = MetaData()

installs = Table(
    "installs",
    metadata,
    Column("user", Text, primary_key=True),
    Column("application", Text, primary_key=True),
    Column("sdk", Text, primary_key=True),
    Column("is_enabled", Boolean, nullable=False),
    Column("plain", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("token", Text),
    Column("expires", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token_fence", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)

logins = Table(
    "logins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("application", Text, nullable=False),
    Column("sdk", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("topology", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("sealed_token", Text, nullable=False),
    Column("token_digest", Text),
    Column("parameters", Text, nullable=False),
    Column("remote_id", Text, nullable=False),
    Column("is_unsubscribe_failed", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("webhook", Text, primary_key=True),
    Column("delivery", Text, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("claim", Text, nullable=False),
)
