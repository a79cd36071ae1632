"""What a member takes over, and what Kafka's copies of the offsets say about it. No broker runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from kafka import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]

from reconsent.bus.kafka.partitions import Partitions, Place

PLACE = TopicPartition("accounts", 0)
NAME = {"accounts": "accounts made-first"}


class Client:
    """Stands in for a client of Kafka that keeps the offsets of one partition."""

    def __init__(self, copy: OffsetAndMetadata | None) -> None:
        self.copy = copy
        self.sought: int | None = None

    def committed(self, place: TopicPartition, *, metadata: bool) -> OffsetAndMetadata | None:
        """Return the copy."""
        assert metadata
        assert place == PLACE
        return self.copy

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Replace the copy."""
        self.copy = offsets[PLACE]

    def beginning_offsets(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return that nothing was deleted."""
        return dict.fromkeys(places, 0)

    def end_offsets(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return that there are many messages."""
        return dict.fromkeys(places, 1000)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Remember from where the partition is read."""
        assert place == PLACE
        self.sought = offset

    def pause(self, *_: Any) -> None:  # noqa: ANN401
        """Do nothing."""

    resume = pause


def taken(client: Client, stored: int, copied_meanwhile: int = 0) -> list[str]:
    """Take the partition over; return what was reported."""
    reported: list[str] = []

    def take_over(places: Collection[Place]) -> dict[Place, tuple[int, int]]:
        if copied_meanwhile:
            client.copy = OffsetAndMetadata(copied_meanwhile, NAME["accounts"], -1)
        return dict.fromkeys(places, (2, stored))

    partitions = Partitions(
        client, take_over, "reconsent", NAME, lambda: reported.append("lost time")
    )
    partitions.listener.on_partitions_assigned([PLACE])
    partitions.follow()
    assert client.sought == stored
    return reported


def test_a_copy_that_is_ahead_shows_that_time_was_lost() -> None:
    """It is reported once: the copy is set back."""
    client = Client(OffsetAndMetadata(9, NAME["accounts"], -1))
    assert taken(client, 5) == ["lost time"]
    assert taken(client, 5) == []


@pytest.mark.parametrize(
    "copy",
    [
        None,
        OffsetAndMetadata(5, NAME["accounts"], -1),
        OffsetAndMetadata(9, "accounts made-before", -1),
        OffsetAndMetadata(9, "", -1),
    ],
    ids=["none", "not ahead", "of a deleted topic", "set by a tool"],
)
def test_other_copies_show_nothing(copy: OffsetAndMetadata | None) -> None:
    """What was not copied from this topic by this program says nothing about the database."""
    assert taken(Client(copy), 5) == []


def test_a_copy_made_after_taking_over_shows_nothing() -> None:
    """A member that is suspended at the wrong moment does not mistake its successor's progress."""
    assert taken(Client(None), 5, copied_meanwhile=9) == []
