"""From when facts count: at the time that they state, but never later than they came in. RULES 27.

A statement that was ahead of its time is remembered by a keyed hash, so that the same one again
counts from when it first did: a repeated message must not outrank what was said between the two.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, cast

from reconsent.domain.event import DatedEvent, counting_from, time_of
from reconsent.domain.received import is_ahead
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reconsent.domain.received import Received
    from reconsent.store.postgres import Connection

SQL = named("record/clocks")


class _Span(NamedTuple):
    """The times that statements ahead of theirs have stated, from the first to the last."""

    first: datetime | None
    last: datetime | None


class _Statement(NamedTuple):
    """A statement that was, or may once have been, ahead of its time."""

    position: int
    digest: bytes
    stated_at: datetime
    came_in: datetime


class _Known(NamedTuple):
    digest: bytes
    counts_from: datetime


def ahead(received: Iterable[Received], now: datetime) -> list[datetime]:
    """Return the times that are stated by events which came in before."""
    return [
        stated_at
        for event in received
        if (stated_at := time_of(event.data)) and is_ahead(stated_at, event.came_in or now)
    ]


def early_span(connection: Connection) -> tuple[datetime, datetime] | None:
    """Return between which times lie those that statements ahead of them have stated, if any."""
    [(first, last)] = all_rows(connection, _Span, SQL["span"])
    return None if first is None or last is None else (first, last)


def any_stated(connection: Connection, first: datetime, last: datetime) -> bool:
    """Tell whether a statement ahead of its time has stated a time between two."""
    return values(connection, SQL["any_stated"], {"first": first, "last": last}) == [True]


def stated_of(connection: Connection, times: Iterable[datetime]) -> list[datetime]:
    """Return those of some times that statements ahead of them have stated."""
    return values(connection, SQL["stated"], {"times": list(times)})


def as_they_count(
    connection: Connection,
    received: Sequence[Received],
    now: datetime,
    keyed_hash: Callable[[str], bytes],
) -> Sequence[Received]:
    """Return events with the times from which they count.

    Those that no bus has dated came in `now`.
    """
    times = {at for event in received if (at := time_of(event.data))}
    early = set(ahead(received, now))
    if times and any_stated(connection, min(times), max(times)):
        early.update(stated_of(connection, times))
    statements = [
        _Statement(position, _digest(event, stated_at, keyed_hash), stated_at, event.came_in or now)
        for position, event in enumerate(received)
        if (stated_at := time_of(event.data)) in early and stated_at is not None
    ]
    if not statements:
        return received
    _remember(connection, received, statements)
    wanted = {"digest": [one.digest for one in statements]}
    counts_from = dict(all_rows(connection, _Known, SQL["known"], wanted))
    counted = list(received)
    for position, digest, stated_at, _ in statements:
        at = counts_from.get(digest, stated_at)
        if at < stated_at:
            event = counted[position]
            data = counting_from(cast("DatedEvent", event.data), at)
            counted[position] = event._replace(data=data)
    return counted


def remember_early(
    connection: Connection, received: Sequence[Received], keyed_hash: Callable[[str], bytes]
) -> None:
    """Remember erased events that are ahead of their time, without their sources. RULES 28."""
    erased = [event._replace(source="") for event in received]
    statements = [
        _Statement(position, _digest(event, stated_at, keyed_hash), stated_at, event.came_in)
        for position, event in enumerate(received)
        if event.came_in and (stated_at := time_of(event.data))
    ]
    _remember(connection, erased, statements)


def _remember(
    connection: Connection, received: Sequence[Received], statements: Sequence[_Statement]
) -> None:
    """Remember the statements that are ahead."""
    new = [one for one in statements if is_ahead(one.stated_at, one.came_in)]
    columns = {
        "digest": [one.digest for one in new],
        "topic": [received[one.position].topic for one in new],
        "property": [getattr(received[one.position].data, "property", None) for one in new],
        "account": [getattr(received[one.position].data, "account", None) for one in new],
        "source": [received[one.position].source or None for one in new],
        "stated_at": [one.stated_at for one in new],
        "counts_from": [one.came_in for one in new],
    }
    if new:
        connection.execute(SQL["remember"], columns)


def _digest(event: Received, stated_at: datetime, keyed_hash: Callable[[str], bytes]) -> bytes:
    """Return a keyed hash of what is stated, about whom, and as of when."""
    fields = {name: getattr(event.data, name) for name in type(event.data).model_fields}
    said = {name: value for name, value in fields.items() if value is not None}
    statement = json.dumps([event.topic, stated_at.isoformat(), said], sort_keys=True, default=str)
    return keyed_hash(hashlib.sha256(statement.encode()).hexdigest())
