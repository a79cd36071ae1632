"""Messages that name a person, and the deletion of her account."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from reconsent.domain.bus import Message
from reconsent.domain.event import AccountEvent
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection
from tests.integration.informing import SITE
from tests.integration.stage import Stage

ANN: Final = "zq8841.ann@people.test"
BO: Final = "bo@example.org"
AT: Final = "2027-01-01T05:00:00Z"
Json = dict[str, Any]


def message(
    place: Stage,
    topic: str,
    data: Json | bytes,
    key: str | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Message:
    """Return a message of now."""
    value = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Message(topic, key.encode() if key else None, value, headers, place.clock)


def report(event: str = "deferred", **fields: str) -> Json:
    """Return a report's data."""
    return {"event": event, "occurred_at": AT} | fields


def whole(account: str, **fields: str) -> Json:
    """Return an account event's data."""
    known = {"status": "active", "contact": "all", "updated_at": AT}
    return {"property": SITE, "account": account} | known | fields


def deleting(place: Stage, **gone: object) -> Callable[[Connection], object]:
    """Return what records that ann's account was deleted."""
    fields = {"status": "deleted"} | gone
    event = AccountEvent.model_validate(
        whole("ann") | fields | {"updated_at": place.clock.isoformat()}, strict=False
    )

    def record(connection: Connection) -> object:
        policies = PublishedVersions().now(connection)
        return record_accounts(connection, [event], policies, place.signer.address_hash)

    return record
