"""SQLite and PostgreSQL: connections, and tables that are brought up to date."""

from worker.database.engine import async_engine, sync_engine
from worker.database.errors import store_errors
from worker.database.migrate import Chain, bring_up_to_date, probe

__all__ = ["Chain", "async_engine", "bring_up_to_date", "probe", "store_errors", "sync_engine"]
