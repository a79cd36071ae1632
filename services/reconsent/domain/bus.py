"""The bus as the services see it: messages in partitions of topics, on Kafka or embedded.

A producer's messages are durable when `send` returns. A consumer returns batches in offset order
and commits no offset: the service moves the offset in the transaction that does the batch's work,
so that both happen or neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

DEAD: Final = ".dead"
DEAD_LETTER_HEADER: Final = "dead-letter-"
# As Kafka names whose clock a message's timestamp is of.
_APPENDED: Final = "LogAppendTime"
_CREATED: Final = "CreateTime"
_TIMESTAMP_TYPE: Final = DEAD_LETTER_HEADER + "original-timestamp-type"
# Headers count towards the broker's limit on message size.
_EXCEPTION_MESSAGE_CHARACTERS: Final = 1000
RECORDED_AT_ONCE: Final = 2
"""How many batches may be recorded side by side while a consumer is polled for the next one."""


class Message(NamedTuple):
    """One message; a null value is a tombstone. Before it is sent, partition and offset are -1.

    `appended`: the timestamp is the bus's own, of when it took the message in.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: datetime
    partition: int = -1
    offset: int = -1
    appended: bool = False

    @property
    def came_in(self) -> datetime | None:
        """When the bus took the message in; None where nobody but its sender says so."""
        return self.timestamp if self.appended else None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Messages of one partition in offset order; offsets may have gaps.

    `start_offset` is the consumer's offset before the batch, `next_offset` the one after it.
    `messages` is empty when all messages between them are gone. `epoch` fences a consumer that has
    lost the partition.
    """

    topic: str
    partition: int
    epoch: int
    start_offset: int
    next_offset: int
    messages: Sequence[Message]


class Producer(Protocol):
    """Sends messages to the bus."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send all messages, durable on return; messages with the same key stay in order.

        Raises OutsideError when the bus cannot be reached; sending again may then duplicate them.
        """

    def close(self) -> None:
        """Close the connection to the bus."""


class Consumer(Protocol):
    """Reads batches for one consumer group, sharing partitions with its other members."""

    def poll(
        self, limit: int, timeout: float, without: Collection[str] = frozenset()
    ) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in `timeout` seconds.

        Topics in `without` are left alone, as if they had no messages. Each batch follows the
        previous one, recorded or not; those before the last RECORDED_AT_ONCE are recorded. After
        abandoning a batch, put it back, or close the consumer and open another, which starts from
        the stored offset. Raises OutsideError when the bus cannot be reached.
        """

    def put_back(self, batch: Batch) -> None:
        """Have the partition begin again at a batch, which was not recorded, nor a later one."""

    def close(self) -> None:
        """Release the partitions."""


def dead_letter(message: Message, group: str, error: BaseException) -> Message:
    """Return a message as a dead letter: unchanged except for added headers that say why."""
    why = {
        "original-topic": message.topic,
        "original-partition": str(message.partition),
        "original-offset": str(message.offset),
        "original-timestamp": message.timestamp.isoformat(),
        "consumer-group": group,
        "exception-class": type(error).__name__,
        "exception-message": str(error)[:_EXCEPTION_MESSAGE_CHARACTERS],
        "original-timestamp-type": _APPENDED if message.appended else _CREATED,
    }
    headers = tuple(
        (DEAD_LETTER_HEADER + name, text.encode(errors="replace")) for name, text in why.items()
    )
    return message._replace(topic=message.topic + DEAD, headers=message.headers + headers)


def came_in_when_dated(letter: Message) -> bool:
    """Tell whether the timestamp of a dead letter says when its message came in to the bus.

    Unknown, and so False, of those of earlier releases.
    """
    # The last header is ours, whatever headers the message came with.
    return letter.headers[-1:] == ((_TIMESTAMP_TYPE, _APPENDED.encode()),)
