"""From an event to the facts: which function records what. Imports and the stream share it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent, MailEvent
from reconsent.domain.policy import PolicyVersion
from reconsent.facts.accounts import Counts, record_accounts
from reconsent.facts.choices import as_choice, record_choices
from reconsent.facts.collections import record_collections
from reconsent.facts.mail_events import record_mail_events
from reconsent.facts.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.adapters.postgres import Connection
    from reconsent.domain.cloudevents import Received
    from reconsent.facts.versions import PublishedVersions


class Recorder:
    """Records events that came in, whichever way they came."""

    def __init__(self, versions: PublishedVersions, address_hash: Callable[[str], bytes]) -> None:
        """Record with the published versions in mind, marking addresses with a secret."""
        self._versions = versions
        self._address_hash = address_hash

    def record(self, connection: Connection, received: Sequence[Received]) -> Counts:
        """Record events in their order; those that the rules refuse are counted and named."""
        counts = Counts()
        for _, run in groupby(enumerate(received), key=lambda item: item[1].topic):
            events = list(run)
            first = events[0][0]
            part = self._record(connection, [event for _, event in events])
            counts = Counts(
                new=counts.new + part.new,
                unchanged=counts.unchanged + part.unchanged,
                refused=counts.refused + tuple((first + at, why) for at, why in part.refused),
            )
        return counts

    def _record(self, connection: Connection, received: Sequence[Received]) -> Counts:
        data = [event.data for event in received]
        if isinstance(data[0], PolicyVersion):
            return _publish_each(connection, [v for v in data if isinstance(v, PolicyVersion)])
        if isinstance(data[0], MailEvent):
            return record_mail_events(connection, [e for e in data if isinstance(e, MailEvent)])
        policies = self._versions.held(connection)
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


def _publish_each(connection: Connection, versions: Sequence[PolicyVersion]) -> Counts:
    new = 0
    refused = []
    for position, version in enumerate(versions):
        try:
            with connection.transaction():
                new += publish(connection, version)
        except BadInputError as error:
            refused.append((position, str(error)))
    return Counts(new=new, unchanged=len(versions) - new - len(refused), refused=tuple(refused))
