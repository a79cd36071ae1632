"""Dispatching events to the functions that record them, for imports and the stream alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import (
    AccountEvent,
    ChoiceEvent,
    CollectionEvent,
    MailEvent,
    PolicyVersionEvent,
    time_of,
)
from reconsent.domain.event_hash import hash_of_event
from reconsent.domain.event_rows import account_rows, collection_rows
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.recorded import Counts
from reconsent.facts.record.accounts import record_account_rows, record_accounts
from reconsent.facts.record.bus_messages import erase_late
from reconsent.facts.record.choices import as_choice, record_choices
from reconsent.facts.record.clocks import ahead, any_stated, as_they_count
from reconsent.facts.record.collections import record_collection_rows, record_collections
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.publishing import publish

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.domain.received import Received
    from reconsent.facts.record.bus_messages import OfAccount
    from reconsent.facts.versions import PublishedVersions
    from reconsent.store.postgres import Connection


_Event = TypeVar("_Event")


@dataclass(frozen=True, kw_only=True)
class Means:
    """What recording needs besides the events: the published versions, the hash of an address."""

    versions: PublishedVersions
    address_hash: Callable[[str], bytes]


class Rows(NamedTuple):
    """Events of accounts or collections as they are staged, and between which times they lie."""

    text: bytes
    first: datetime
    last: datetime


Handler = Callable[["Connection", Sequence["Received"], Means], Counts]


def _record_policy_versions(
    connection: Connection, received: Sequence[Received], means: Means
) -> Counts:
    new = 0
    refused = []
    for position, event in enumerate(received):
        if not isinstance(version := event.data, PolicyVersion):
            continue
        stated = version.published_at if isinstance(version, PolicyVersionEvent) else None
        published_at = min((at for at in (stated, event.came_in) if at), default=None)
        try:
            with connection.transaction():
                new += publish(connection, version, means.versions, published_at)
        except BadInputError as error:
            refused.append((position, str(error)))
    return Counts(new=new, unchanged=len(received) - new - len(refused), refused=tuple(refused))


def _record_accounts(connection: Connection, received: Sequence[Received], means: Means) -> Counts:
    policies = means.versions.locked(connection)
    return record_accounts(connection, _data(received, AccountEvent), policies, means.address_hash)


def _record_collections(
    connection: Connection, received: Sequence[Received], means: Means
) -> Counts:
    policies = means.versions.locked(connection)
    events = _data(received, CollectionEvent)
    return record_collections(connection, events, policies, means.address_hash)


def _record_choices(connection: Connection, received: Sequence[Received], means: Means) -> Counts:
    choices = [
        as_choice(event.data, hash_of_event(event.source, event.id, means.address_hash))
        for event in received
        if isinstance(event.data, ChoiceEvent)
    ]
    return record_choices(connection, choices, means.versions.locked(connection))


def _record_mail_events(
    connection: Connection, received: Sequence[Received], means: Means
) -> Counts:
    return record_mail_events(connection, _data(received, MailEvent), means.address_hash)


HANDLERS: Final[Mapping[str, Handler]] = {
    "policy-versions": _record_policy_versions,
    "accounts": _record_accounts,
    "collections": _record_collections,
    "choices": _record_choices,
    "mail-events": _record_mail_events,
}
"""What records the events of each topic."""


def _perhaps_late(
    received: Sequence[Received], counted: Sequence[Received]
) -> Iterator[tuple[OfAccount, datetime]]:
    """Yield what recording does not look at: choices, and what counts earlier than it says."""
    for event, as_counted in zip(received, counted, strict=True):
        data, at = event.data, time_of(as_counted.data)
        if at and (
            isinstance(data, ChoiceEvent)
            or (as_counted is not event and isinstance(data, AccountEvent | CollectionEvent))
        ):
            yield data, at


def _data(received: Sequence[Received], model: type[_Event]) -> list[_Event]:
    return [event.data for event in received if isinstance(event.data, model)]


class Recorder:
    """Records events from imports and the stream."""

    def __init__(
        self,
        versions: PublishedVersions,
        address_hash: Callable[[str], bytes],
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Take the published versions, the keyed hash of addresses, and the clock.

        An event counts no later than it came in: to the bus, or else `now`. Without `now` every
        event counts from the time that it states.
        """
        self._means = Means(versions=versions, address_hash=address_hash)
        self._now = now

    def rows(self, received: Sequence[Received]) -> Rows | None:
        """Write events ahead of recording them, if they are of one topic that is staged as rows.

        None if one of them is ahead of its time, or if there are none.
        """
        topics = {event.topic for event in received}
        if topics not in ({"accounts"}, {"collections"}) or self._any_ahead(received):
            return None
        times = [at for event in received if (at := time_of(event.data))]
        if topics == {"accounts"}:
            accounts = enumerate(_data(received, AccountEvent))
            rows = account_rows(
                [(at, event, event.email) for at, event in accounts], self._means.address_hash
            )
        else:
            rows = collection_rows(list(enumerate(_data(received, CollectionEvent))))
        return Rows(rows, min(times), max(times))

    def _any_ahead(self, received: Sequence[Received]) -> bool:
        return self._now is not None and bool(ahead(received, self._now()))

    def record(self, connection: Connection, received: Sequence[Received]) -> Counts:
        """Record events in order; refused ones are returned with their reasons."""
        counted = received
        if self._now is not None:
            counted = as_they_count(connection, received, self._now(), self._means.address_hash)
        counts = Counts()
        for topic, run in groupby(enumerate(counted), key=lambda item: item[1].topic):
            events = list(run)
            part = HANDLERS[topic](connection, [event for _, event in events], self._means)
            counts = counts.plus(part, [position for position, _ in events])
        erase_late(connection, _perhaps_late(received, counted), self._means.address_hash)
        return counts

    def may_count_otherwise(self, connection: Connection, rows: Rows) -> bool:
        """Tell whether one of the events may count from an earlier time than it states."""
        return self._now is not None and any_stated(connection, rows.first, rows.last)

    def record_rows(self, connection: Connection, topic: str, rows: bytes) -> Counts:
        """Record events of accounts or collections, none of which counts from another time."""
        means = self._means
        policies = means.versions.locked(connection)
        if topic == "accounts":
            return record_account_rows(connection, rows, policies, means.address_hash)
        if topic == "collections":
            return record_collection_rows(connection, rows, policies, means.address_hash)
        raise ValueError(topic)
