"""The bus on Apache Kafka topics."""
