"""Every shape the project promises: events, interfaces, database migrations."""
