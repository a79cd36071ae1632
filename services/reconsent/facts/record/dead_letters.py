"""Retrying dead letters by the same rules as other messages. RULES 27."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from reconsent.domain import cloudevents
from reconsent.domain.errors import BadInputError, ReconsentError, RefusedError
from reconsent.store.dead_letters import lock, read, remove, renew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reconsent.domain.dead_letters import DeadLetter, Id
    from reconsent.domain.received import Received
    from reconsent.facts.record.recorder import Recorder
    from reconsent.store.postgres import Connection, Database

_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Results of retries: recorded, refused again, already gone, or left behind a refused one."""

    taken: tuple[DeadLetter, ...] = ()
    refused: tuple[tuple[DeadLetter, str], ...] = ()
    gone: tuple[Id, ...] = ()
    left: tuple[Id, ...] = ()

    def __add__(self, other: Retried) -> Retried:
        return Retried(
            taken=self.taken + other.taken,
            refused=self.refused + other.refused,
            gone=self.gone + other.gone,
            left=self.left + other.left,
        )


def retry(connection: Connection, recorder: Recorder, ids: Sequence[Id]) -> Retried:
    """Record dead letters again, in this order, and remove those that are recorded.

    A letter that is refused again stays, with the new reason. Everything runs in the caller's
    transaction. Concurrent retries of the same letter wait for one another; the second finds it
    gone or refused.
    """
    lock(connection, ids)
    found = read(connection, ids)
    letters = [found[each] for each in ids if each in found]
    readable: list[tuple[DeadLetter, Received]] = []
    wrong: dict[Id, ReconsentError] = {}
    for letter in letters:
        try:
            readable.append((letter, cloudevents.read(letter.message)))
        except BadInputError as error:
            wrong[letter.id] = error
    counts = recorder.record(connection, [received for _, received in readable])
    wrong |= {readable[at][0].id: RefusedError(why) for at, why in counts.refused}
    taken = [letter for letter in letters if letter.id not in wrong]
    remove(connection, [letter.id for letter in taken])
    # A deletion among them also erases other dead letters of its account.
    still = renew(connection, wrong)
    return Retried(
        taken=tuple(taken),
        refused=tuple((found[each], str(why)) for each, why in wrong.items() if each in still),
        gone=tuple(each for each in ids if each not in found or each in wrong.keys() - still),
    )


def retry_lines(
    database: Database, recorder: Recorder, lines: Sequence[Sequence[Id]]
) -> Iterator[Retried]:
    """Retry lines of dead letters, each line in order.

    Each step is a transaction of its own. A line stops at the first letter that is refused again;
    the later ones are `left` unchanged.
    """
    while lines:
        refused: set[Id] = set()
        for start in range(0, len(lines), _AT_ONCE):
            part = lines[start : start + _AT_ONCE]
            heads = [line[0] for line in part]
            done = database.transaction(_retrying(recorder, heads))
            stopped = {letter.id for letter, _ in done.refused}
            left = tuple(id_ for line in part if line[0] in stopped for id_ in line[1:])
            yield replace(done, left=left)
            refused |= stopped
        lines = [line[1:] for line in lines if len(line) > 1 and line[0] not in refused]


def _retrying(recorder: Recorder, ids: Sequence[Id]) -> Callable[[Connection], Retried]:
    return lambda connection: retry(connection, recorder, ids)
