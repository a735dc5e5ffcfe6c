"""Installs and webhooks belong to a registered service; those that are there, to none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEY = ("user", "application", "sdk")


def upgrade() -> None:
    """Add the columns, and let a user have an application once in each service."""
    op.add_column("webhooks", _service())
    op.add_column("installs", _service())
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint("installs_pkey", "installs")
        op.create_primary_key("installs_pkey", "installs", list(_KEY))
    else:
        _make_anew()


def _make_anew() -> None:
    """SQLite changes no key: the table is copied."""
    before = sa.Table("installs", sa.MetaData(), autoload_with=op.get_bind())
    names = ", ".join(f'"{column.name}"' for column in before.columns)
    columns = [sa.Column(one.name, one.type, nullable=one.nullable) for one in before.columns if one.name != "sdk"]
    op.create_table("installs_anew", *columns, _service(), sa.PrimaryKeyConstraint(*_KEY))
    op.execute(f"INSERT INTO installs_anew ({names}) SELECT {names} FROM installs")  # noqa: S608 - names of ours
    op.drop_table("installs")
    op.rename_table("installs_anew", "installs")


def _service() -> sa.Column[str]:
    return sa.Column("sdk", sa.Text, nullable=False, server_default="")
