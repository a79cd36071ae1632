"""A key's partition is the one that Kafka's own clients choose."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]

from reconsent.bus.kafka.partitioner import KeyPartitioner


@given(
    key=st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    partitions=st.integers(1, 70).map(lambda count: set(range(count)))
    | st.sets(st.integers(0, 70), min_size=1),
)
def test_partition(key: bytes, partitions: set[int]) -> None:
    """Also while some partitions are not known yet."""
    cluster = SimpleNamespace(
        topics=lambda: {"topic"},
        partitions_for_topic=lambda _: partitions,
        available_partitions_for_topic=lambda _: partitions,
    )
    theirs = DefaultPartitioner().partition("topic", key, key, None, None, cluster)
    assert KeyPartitioner().partition("topic", key, key, None, None, cluster) == theirs
