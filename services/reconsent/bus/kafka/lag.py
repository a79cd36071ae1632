"""A group's lag on Kafka topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import OffsetSpec, TopicPartition  # type: ignore[import-untyped]

from reconsent.bus.kafka.partitions import Place
from reconsent.bus.kafka.topics import administration, describe, stored_names
from reconsent.domain.event import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reconsent.bus.kafka.settings import KafkaSettings


def lag(
    settings: KafkaSettings,
    read_offsets: Callable[[Collection[str]], Mapping[Place, int]],
    topics: Iterable[str] = TOPICS,
) -> dict[str, int]:
    """Count the messages of each topic that a group has not consumed.

    `read_offsets` returns the group's stored offsets on topics, given their stored names.
    """
    with administration(settings) as admin:
        found = describe(admin, settings, topics)
        places = [
            TopicPartition(settings.topic_prefix + topic, partition)
            for topic, about in found.items()
            for partition in range(about.partitions)
        ]
        firsts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    names = stored_names(settings, found)
    stored = read_offsets(names.values())
    lags = dict.fromkeys(topics, 0)
    for place in places:
        offset = stored.get((names[place.topic], place.partition), 0)
        waiting = ends[place].offset - max(offset, firsts[place].offset)
        lags[place.topic.removeprefix(settings.topic_prefix)] += max(waiting, 0)
    return lags
