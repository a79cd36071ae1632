"""Dead letters: messages that could not be used, where they wait, and who stands behind whom."""

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

# As many digits as surely fit into the columns.
_ID: Final = re.compile(r"([a-z-]+):([0-9]{1,9}):([0-9]{1,18})", re.ASCII)
_TOPICS: Final = ", ".join(TOPICS)
# What `bus.dead_letter` writes first.
_FIRST: Final = DEAD_LETTER_HEADER + "original-topic"


class Id(NamedTuple):
    """A dead letter's place among those of its topic: it never changes and is never used again."""

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
            raise BadInputError(f"{text!r}: is no id of a dead letter such as accounts:2:17")
        if found[1] not in TOPICS:
            raise BadInputError(f"{text!r}: there is no topic {found[1]}; there are {_TOPICS}")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message as it came, with its first place, and why it could not be used."""

    id: Id
    message: Message
    reason: str
    exception: str
    group: str

    @classmethod
    def of(cls, buried: Message) -> Self:
        """Take apart what `bus.dead_letter` made, as it stands in the log of dead letters."""
        topic = buried.topic.removesuffix(DEAD)
        # Ours stand last; a message that was sent on from dead letters has older ones before them.
        names = [name for name, _ in buried.headers]
        ours = len(names) - 1 - names[::-1].index(_FIRST)
        why = {
            name.removeprefix(DEAD_LETTER_HEADER): value.decode(errors="replace")
            for name, value in buried.headers[ours:]
        }
        return cls(
            id=Id(topic, buried.partition, buried.offset),
            message=buried._replace(
                topic=topic,
                headers=buried.headers[:ours],
                partition=int(why["original-partition"]),
                offset=int(why["original-offset"]),
            ),
            reason=why["exception-message"],
            exception=why["exception-class"],
            group=why["consumer-group"],
        )


def in_order(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Sort by topic, those first on which others count, and by place."""
    topics = list(TOPICS)
    return sorted(letters, key=lambda letter: (topics.index(letter.id.topic), letter.id))


def with_later(letters: Collection[DeadLetter], chosen: Collection[Id]) -> list[list[Id]]:
    """Return for each key the chosen letters, and all those of the key behind the first of them.

    The letters of a key, of whatever topic, stand in one line: those of one partition in the order
    in which they came, and between them the message that was sent earlier first. A letter without
    a key stands alone, for no order was ever promised to it.
    """
    of_key: dict[bytes | Id, dict[tuple[str, int], list[DeadLetter]]] = {}
    for letter in in_order(letters):
        key = letter.id if letter.message.key is None else letter.message.key
        of_key.setdefault(key, {}).setdefault(letter.id[:2], []).append(letter)
    lines: list[list[Id]] = []
    for parts in of_key.values():
        # Not sorted by time: clocks differ, and those of one partition must not change places.
        line = [x.id for x in merge(*parts.values(), key=lambda letter: letter.message.timestamp)]
        first = next((at for at, each in enumerate(line) if each in chosen), len(line))
        if line[first:]:
            lines.append(line[first:])
    return lines
