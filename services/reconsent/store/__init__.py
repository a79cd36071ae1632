"""PostgreSQL: connections, migrations, offsets, the log, and all SQL."""
