"""Where consumers stand, whichever bus they read: kept beside the facts, moved with the effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.errors import OutsideError
from reconsent.store.named import named

if TYPE_CHECKING:
    from reconsent.domain.bus import Batch
    from reconsent.store.postgres import Connection

SQL = named("offsets")


class FencedError(OutsideError):
    """A batch of a partition that another consumer has taken over, or out of turn: do nothing."""


def take_over(connection: Connection, group: str, topic: str, partition: int) -> tuple[int, int]:
    """Become the owner of a partition; return the new epoch and the offset to go on from.

    Waits for a batch that is being recorded; later ones of an earlier owner are fenced off.
    """
    of_partition = {"group": group, "topic": topic, "partition": partition}
    epoch, next_offset = connection.execute(SQL["take_over"], of_partition).fetchall()[0]
    return epoch, next_offset


def advance(connection: Connection, group: str, batch: Batch) -> None:
    """Move the offset over a batch in the caller's transaction, and hold it until that ends.

    Raises FencedError, after which the transaction must be rolled back, when the partition has
    another owner by now or the offset does not stand where the batch begins.
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
