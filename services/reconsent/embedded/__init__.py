"""The PostgreSQL server that starts when no other is configured."""
