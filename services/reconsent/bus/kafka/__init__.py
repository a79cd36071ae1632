"""The bus as topics of an Apache Kafka."""
