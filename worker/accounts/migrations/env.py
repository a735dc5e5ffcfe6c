"""Runs the migrations on the connection that `worker.database.migrate` has opened and locked."""

from alembic import context

from worker.accounts.tables import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
