"""SQLite and PostgreSQL: connections, and tables that are brought up to date."""
