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
NOTICE: Final = "39c051cd-1e9e-43ab-8dc0-91497e6d26ec"
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


MESSAGES: Final[dict[str, tuple[str, Json | bytes, str | None]]] = {
    "names no notice": ("mail-events", report(email=ANN), None),
    "another spelling": ("mail-events", report(email=f" {ANN.upper()}"), None),
    "quotes it": ("mail-events", report(email="c@example.org", reason=f"no <{ANN}>"), None),
    "not ours": ("mail-events", report(email=ANN, reason=f"550 <{ANN}>", notice=NOTICE), NOTICE),
    "not ours, by its id": (
        "mail-events",
        report("delivered", provider_id=f"1={ANN}", notice=NOTICE),
        NOTICE,
    ),
    "unreadable": ("mail-events", report("exploded", email=ANN), None),
    "cut off": ("mail-events", f'{{"event": "bounced", "email": "{ANN}'.encode(), None),
    "no JSON": ("mail-events", f"Final-Recipient: rfc822;{ANN}.".encode(), None),
    "unreadable, by notice": ("mail-events", report("exploded", email=ANN, notice="x"), "x"),
    "without a key": ("accounts", whole("ann", email=ANN, status="odd"), None),
    "with another's key": ("accounts", whole("ann", email=ANN, status="odd"), f"{SITE}/bo"),
    "of an unknown account": ("accounts", {"email": ANN, "account": 7}, None),
    "evidence": ("choices", whole("ann", evidence=ANN), None),
}
"""Messages that name ann or her address: topic, data and key."""
