"""The PostgreSQL server that is started if none is configured."""
