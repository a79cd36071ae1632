"""What measuring over Kafka needs: the broker and the topics of tests/kafka."""

from __future__ import annotations

from tests.kafka.conftest import cluster, given, settings, started, topics

__all__ = ["cluster", "given", "settings", "started", "topics"]
