"""The partition of a key: the same as Kafka's own clients choose, in a fraction of the time."""

from __future__ import annotations

from struct import unpack
from typing import Any, Final

from kafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]
from typing_extensions import override

_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF


class KeyPartitioner(DefaultPartitioner):  # type: ignore[misc]
    """Chooses by the hash of the key; messages without a key go anywhere."""

    @override
    def partition(
        self,
        topic: str,
        key: Any,
        serialized_key: bytes | None,
        value: Any,
        serialized_value: bytes | None,
        cluster: Any,
    ) -> int:
        partitions = cluster.partitions_for_topic(topic)
        if serialized_key is None or not partitions or max(partitions) != len(partitions) - 1:
            chosen = super().partition(topic, key, serialized_key, value, serialized_value, cluster)
            return int(chosen)
        return (murmur2(serialized_key) & 0x7FFFFFFF) % len(partitions)


def murmur2(data: bytes) -> int:
    """Return the MurmurHash2 of data, by which Kafka's clients choose partitions."""
    length = len(data)
    whole = length // 4
    result = _SEED ^ length
    for part in unpack(f"<{whole}I", data[: whole * 4]):
        mixed = part * _MIX & _32_BITS
        result = (result * _MIX & _32_BITS) ^ ((mixed ^ mixed >> 24) * _MIX & _32_BITS)
    if length % 4:
        rest = int.from_bytes(data[whole * 4 :], "little")
        result = (result ^ rest) * _MIX & _32_BITS
    result = (result ^ result >> 13) * _MIX & _32_BITS
    return result ^ result >> 15
