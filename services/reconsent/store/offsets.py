"""The offsets of consumer groups, whichever bus they read: stored beside the facts they led to."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

import psycopg

from reconsent.domain.errors import OutsideError
from reconsent.store.named import named
from reconsent.store.postgres import connect, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.bus import Batch
    from reconsent.store.postgres import Connection

SQL = named("offsets")
TAKE_OVER_LIMIT: Final = "1s"
"""How long taking over waits for a batch that is being recorded, in PostgreSQL's words."""


class FencedError(OutsideError):
    """The consumer is fenced: its batch is out of turn, or the partition has another owner."""


def take_over(connection: Connection, group: str, topic: str, partition: int) -> tuple[int, int]:
    """Become the owner of a partition; return the new epoch and the offset to go on from.

    Waits for a batch that is being recorded; later batches of an earlier owner are fenced.
    """
    of_partition = {"group": group, "topic": topic, "partition": partition}
    epoch, next_offset = connection.execute(SQL["take_over"], of_partition).fetchall()[0]
    return epoch, next_offset


def take_over_idle(
    conninfo: str, group: str, places: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Become the owner of partitions; return the epoch and the next offset of each.

    Those of which a batch is still being recorded after a moment are left out.
    """
    taken = {}
    with in_one_line(), closing(connect(conninfo, autocommit=True)) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (TAKE_OVER_LIMIT,))
        for topic, partition in places:
            with suppress(psycopg.errors.LockNotAvailable):
                taken[topic, partition] = take_over(connection, group, topic, partition)
    return taken


def stored(connection: Connection, group: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the next offset of each partition of some topics that a group has read."""
    rows = connection.execute(SQL["stored"], {"group": group, "topics": list(topics)})
    return {(topic, partition): next_offset for topic, partition, next_offset in rows}


def advance(connection: Connection, group: str, batch: Batch) -> None:
    """Move the offset past a batch in the caller's transaction, and lock it until that ends.

    Raises FencedError, after which the transaction must be rolled back, if the partition has
    another owner by now or the batch does not begin at the stored offset.
    """
    moved = connection.execute(
        SQL["advance"],
        {
            "group": group,
            "topic": batch.topic,
            "partition": batch.partition,
            "epoch": batch.epoch,
            "start_offset": batch.start_offset,
            "next_offset": batch.next_offset,
        },
    )
    if not moved.rowcount:
        raise FencedError(
            f"{batch.topic}: partition {batch.partition} is no longer at {batch.start_offset} "
            f"in the hands of this consumer of {group}"
        )
