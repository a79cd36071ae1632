"""The event schemas, the AsyncAPI document and the database migrations."""
