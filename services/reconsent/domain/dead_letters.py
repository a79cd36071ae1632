"""Dead letters: messages that could not be used, their ids and their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from typing_extensions import override

from reconsent.domain.bus import DEAD, DEAD_LETTER_HEADER, Message
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# As many digits as always fit the columns.
_ID: Final = re.compile(r"([a-z-]+):([0-9]{1,9}):([0-9]{1,18})", re.ASCII)
_TOPICS: Final = ", ".join(TOPICS)
# The first header that `bus.dead_letter` adds.
_FIRST: Final = DEAD_LETTER_HEADER + "original-topic"


class Id(NamedTuple):
    """A dead letter's position in the log; it never changes and is never reused."""

    topic: str
    partition: int
    offset: int

    @override
    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id as it is printed. Raises BadInputError."""
        found = _ID.fullmatch(text)
        if found is None:
            raise BadInputError(f"{text!r}: is not a valid dead letter id such as accounts:2:17")
        if found[1] not in TOPICS:
            raise BadInputError(f"{text!r}: {found[1]} is not an input topic: {_TOPICS}")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message as it arrived, with its original position, and why it could not be used."""

    id: Id
    message: Message
    reason: str
    exception: str
    group: str

    @classmethod
    def of(cls, logged: Message) -> Self:
        """Parse a message that `bus.dead_letter` made, as the log stores it."""
        topic = logged.topic.removesuffix(DEAD)
        # The last headers count: a retried dead letter may carry those of an earlier failure too.
        names = [name for name, _ in logged.headers]
        ours = len(names) - 1 - names[::-1].index(_FIRST)
        why = {
            name.removeprefix(DEAD_LETTER_HEADER): value.decode(errors="replace")
            for name, value in logged.headers[ours:]
        }
        return cls(
            id=Id(topic, logged.partition, logged.offset),
            message=logged._replace(
                topic=topic,
                headers=logged.headers[:ours],
                partition=int(why["original-partition"]),
                offset=int(why["original-offset"]),
            ),
            reason=why["exception-message"],
            exception=why["exception-class"],
            group=why["consumer-group"],
        )


def in_order(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Sort by topic, those that others depend on first, and by position."""
    topics = list(TOPICS)
    return sorted(letters, key=lambda letter: (topics.index(letter.id.topic), letter.id))


def with_later(letters: Collection[DeadLetter], chosen: Collection[Id]) -> list[list[Id]]:
    """Return, for each key, the first chosen letter and all later letters of the key.

    The letters of a key form one line across topics: in offset order within a partition, merged by
    the messages' timestamps. A letter without a key is a line of its own, because messages without
    a key have no order.
    """
    of_key: dict[bytes | Id, dict[tuple[str, int], list[DeadLetter]]] = {}
    for letter in in_order(letters):
        key = letter.id if letter.message.key is None else letter.message.key
        of_key.setdefault(key, {}).setdefault(letter.id[:2], []).append(letter)
    lines: list[list[Id]] = []
    for parts in of_key.values():
        # Merged, not sorted, by time: clocks differ, and a partition must keep its order.
        line = [x.id for x in merge(*parts.values(), key=lambda letter: letter.message.timestamp)]
        first = next((at for at, each in enumerate(line) if each in chosen), len(line))
        if line[first:]:
            lines.append(line[first:])
    return lines
