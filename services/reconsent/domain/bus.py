"""The bus as the services see it: messages in partitions of topics, whatever carries them.

A producer's messages are durable when `send` returns. A consumer hands out batches in the order of
their offsets and remembers nothing: the service moves the offset in the transaction that does the
batch's work, so that both happen or neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

DEAD: Final = ".dead"
DEAD_LETTER_HEADER: Final = "dead-letter-"
# Headers travel with each message, and a broker limits a message's size.
_EXCEPTION_MESSAGE_CHARACTERS: Final = 1000


class Message(NamedTuple):
    """One message; a null value is a tombstone. Not sent yet, it has no partition and offset."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: datetime
    partition: int = -1
    offset: int = -1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Messages of one partition in the order of their offsets, which may leave gaps.

    `start_offset` is where the consumer's offset stands before the batch, `next_offset` where it
    stands after; `messages` is empty when all of those between are gone. `epoch` tells a consumer
    that still owns the partition from one that lost it.
    """

    topic: str
    partition: int
    epoch: int
    start_offset: int
    next_offset: int
    messages: Sequence[Message]


class Producer(Protocol):
    """What puts messages on the bus."""

    def send(self, messages: Sequence[Message]) -> None:
        """Put all of them on the bus, durable on return; equal keys keep their order.

        Raises OutsideError when the bus cannot be reached; sending again may then double them.
        """

    def close(self) -> None:
        """Let go of the bus."""


class Consumer(Protocol):
    """What takes batches off the bus for one group, sharing partitions with its other members."""

    def poll(self, limit: int, timeout: float) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in `timeout` seconds.

        A batch follows the one returned before it, whether that was recorded or not. Once a batch
        was given up, close the consumer and open another one, which begins where the store stands.
        Raises OutsideError when the bus cannot be reached.
        """

    def close(self) -> None:
        """Give the partitions back."""


def dead_letter(message: Message, group: str, error: BaseException) -> Message:
    """Return a message as it goes to its dead letters: unchanged but for headers that say why."""
    why = {
        "original-topic": message.topic,
        "original-partition": str(message.partition),
        "original-offset": str(message.offset),
        "original-timestamp": message.timestamp.isoformat(),
        "consumer-group": group,
        "exception-class": type(error).__name__,
        "exception-message": str(error)[:_EXCEPTION_MESSAGE_CHARACTERS],
    }
    headers = tuple(
        (DEAD_LETTER_HEADER + name, text.encode(errors="replace")) for name, text in why.items()
    )
    return message._replace(topic=message.topic + DEAD, headers=message.headers + headers)
