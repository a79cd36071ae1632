"""The bus: a log table in PostgreSQL, or Apache Kafka."""
