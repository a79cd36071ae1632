"""Partitions that are stopped, because too many messages in a row cannot be used.

`intake` writes them; `status` and the probes of other processes read them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconsent.store.log import Partition
    from reconsent.store.postgres import Connection

SQL = named("stops")
_LONGEST_REASON: Final = 1000


class StoppedPartition(NamedTuple):
    """A partition that is stopped, since when and why; `accepted`: it may go on."""

    topic: str
    partition: int
    stopped_at: datetime
    reason: str
    accepted: bool


def stopped_partitions(connection: Connection) -> list[StoppedPartition]:
    """List the stopped partitions, ordered by topic and partition."""
    return all_rows(connection, StoppedPartition, SQL["stopped"])


def by_topic(stopped: list[StoppedPartition]) -> Mapping[str, StoppedPartition]:
    """Return the partition of each topic that has been stopped for longest."""
    longest_last = sorted(stopped, key=lambda each: each.stopped_at, reverse=True)
    return {each.topic: each for each in longest_last}


def record_stop(connection: Connection, partition: Partition, reason: str) -> None:
    """Record that a partition is stopped; the time of the first stop stays."""
    connection.execute(SQL["stop"], _of(partition) | {"reason": reason[:_LONGEST_REASON]})


def clear_stop(connection: Connection, partition: Partition) -> None:
    """Record that a partition goes on."""
    connection.execute(SQL["clear"], _of(partition))


def is_accepted(connection: Connection, partition: Partition) -> bool:
    """Tell whether the messages at which a partition is stopped may become dead letters."""
    return values(connection, SQL["is_accepted"], _of(partition)) == [True]


def accept(connection: Connection, topic: str) -> int:
    """Let the messages at which a topic is stopped become dead letters; return its partitions."""
    return connection.execute(SQL["accept"], {"topic": topic}).rowcount


def _of(partition: Partition) -> dict[str, object]:
    return {"topic": partition[0], "partition": partition[1]}
