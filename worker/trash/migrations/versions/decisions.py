"""Claims, edits, flood control, and the node's application; ids that MongoDB can use as well."""

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and fill them for the entries that are there."""
    any_text = sa.LargeBinary().with_variant(sa.Text(), "sqlite")
    for column in (
        sa.Column("application", sa.Text, nullable=False, server_default=""),
        sa.Column("claim", sa.String(32)),
        sa.Column("changed_by", sa.Text),
        sa.Column("original_body", any_text),
        sa.Column("edited", sa.BigInteger),
        sa.Column("edited_by", sa.Text),
        sa.Column("more", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("flood_key", sa.String(32)),
    ):
        op.add_column("trash", column)
    op.create_index("trash_by_flood_key", "trash", ["flood_key", "state", "number"])
    _fill()


def _fill() -> None:
    bind = op.get_bind()
    names = ("number", "id", "node_id", "correlation_id", "reason")
    trash = sa.table("trash", sa.column("flood_key"), *(sa.column(name) for name in names))
    rows = bind.execute(sa.select(*(trash.c[name] for name in names))).all()
    update = (
        sa.update(trash)
        .where(trash.c.number == sa.bindparam("at"))
        .values(id=sa.bindparam("short"), flood_key=sa.bindparam("key"))
    )
    filled = [
        {"at": number, "short": own.replace("-", "").lower()[:24], "key": _flood_key(node, process, reason)}
        for number, own, node, process, reason in rows
    ]
    if filled:
        bind.execute(update, filled)


def _flood_key(node_id: str, correlation_id: str, reason: str | None) -> str:
    parts = "\x1f".join((node_id, correlation_id, reason or ""))
    return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]
