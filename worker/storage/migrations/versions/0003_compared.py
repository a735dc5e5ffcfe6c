"""What the node `comparator` has seen: collections, runs, answers and drafts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables. Those with a row for each item are sorted by their key in SQLite, which halves them."""
    _create_collections()
    _create_runs()
    _create_drafts()


def _create_collections() -> None:
    op.create_table(
        "storage_compared",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("master", sa.String(64), unique=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("held_by", sa.String(64)),
        sa.Column("held_until", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("storage_compared_expires", "storage_compared", ["expires"])
    op.create_table(
        "storage_compared_items",
        sa.Column("collection", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_runs() -> None:
    op.create_table(
        "storage_compared_runs",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(64), unique=True),
        sa.Column("collection", sa.BigInteger, nullable=False),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("ended_by", sa.String(64)),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("storage_compared_runs_expires", "storage_compared_runs", ["expires"])
    op.create_table(
        "storage_compared_seen",
        sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "storage_compared_answers",
        sa.Column("message", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("storage_compared_answers_expires", "storage_compared_answers", ["expires"])


def _create_drafts() -> None:
    op.create_table(
        "storage_drafts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("collection", sa.BigInteger, nullable=False),
        sa.Column("id_field", sa.Text, nullable=False),
        sa.Column("kept_ms", sa.BigInteger),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("storage_drafts_expires", "storage_drafts", ["expires"])
    op.create_index("storage_drafts_collection", "storage_drafts", ["collection"])
    op.create_table(
        "storage_draft_items",
        sa.Column("draft", sa.String(64), primary_key=True),
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
