"""From an event to the facts: which function records what. Imports and the stream share it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent, MailEvent, ahead
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.recorded import Counts
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.record.choices import as_choice, record_choices
from reconsent.facts.record.collections import record_collections
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.domain.cloudevents import Received
    from reconsent.facts.versions import PublishedVersions
    from reconsent.store.postgres import Connection


class Recorder:
    """Records events that came in, whichever way they came."""

    def __init__(
        self,
        versions: PublishedVersions,
        address_hash: Callable[[str], bytes],
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Record with the published versions in mind, marking addresses with a secret.

        `now` tells the time, by which events of a clock that is far ahead are refused; without it
        every time is believed.
        """
        self._versions = versions
        self._address_hash = address_hash
        self._now = now

    def record(self, connection: Connection, received: Sequence[Received]) -> Counts:
        """Record events in their order; those that the rules refuse are counted and named."""
        early = self._early(received)
        counts = Counts(refused=tuple(early.items()))
        timely = [(at, event) for at, event in enumerate(received) if at not in early]
        for _, run in groupby(timely, key=lambda item: item[1].topic):
            events = list(run)
            part = self._record(connection, [event for _, event in events])
            counts = Counts(
                new=counts.new + part.new,
                unchanged=counts.unchanged + part.unchanged,
                refused=counts.refused + tuple((events[at][0], why) for at, why in part.refused),
            )
        return replace(counts, refused=tuple(sorted(counts.refused)))

    def _early(self, received: Sequence[Received]) -> dict[int, str]:
        """Find the events whose own time is too far ahead of now, and say so."""
        if self._now is None:
            return {}
        now = self._now()
        return {at: why for at, event in enumerate(received) if (why := ahead(event.data, now))}

    def _record(self, connection: Connection, received: Sequence[Received]) -> Counts:
        data = [event.data for event in received]
        if isinstance(data[0], PolicyVersion):
            published = [v for v in data if isinstance(v, PolicyVersion)]
            return _publish_each(connection, published, self._versions)
        if isinstance(data[0], MailEvent):
            return record_mail_events(connection, [e for e in data if isinstance(e, MailEvent)])
        policies = self._versions.locked(connection)
        if isinstance(data[0], AccountEvent):
            accounts = [event for event in data if isinstance(event, AccountEvent)]
            return record_accounts(connection, accounts, policies, self._address_hash)
        if isinstance(data[0], CollectionEvent):
            collections = [event for event in data if isinstance(event, CollectionEvent)]
            return record_collections(connection, collections, policies)
        choices = [
            as_choice(event.data, event.source, event.id)
            for event in received
            if isinstance(event.data, ChoiceEvent)
        ]
        return record_choices(connection, choices, policies)


def _publish_each(
    connection: Connection, versions: Sequence[PolicyVersion], known: PublishedVersions
) -> Counts:
    new = 0
    refused = []
    for position, version in enumerate(versions):
        try:
            with connection.transaction():
                new += publish(connection, version, known)
        except BadInputError as error:
            refused.append((position, str(error)))
    return Counts(new=new, unchanged=len(versions) - new - len(refused), refused=tuple(refused))
