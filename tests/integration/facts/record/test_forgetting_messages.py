"""What messages say of a deleted account goes, whatever their keys are, and whoever reads them."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from reconsent.domain.bus import Message
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import AccountEvent, MailEvent
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import marks_of
from reconsent.facts.versions import PublishedVersions
from reconsent.store import log
from reconsent.store.postgres import Connection
from tests.integration.informing import HOUR, SITE, Informing
from tests.integration.interleaving import at_once
from tests.integration.remains import found
from tests.integration.stage import Stage, stage

ANN: Final = "zq8841.ann@people.test"
BO: Final = "bo@example.org"
AT: Final = "2027-01-01T05:00:00Z"
NOTICE: Final = "39c051cd-1e9e-43ab-8dc0-91497e6d26ec"
Json = dict[str, Any]
STRUCTURED: Final = (("content-type", b"application/cloudevents+json"),)


@pytest.fixture(name="place", scope="module")
def _place(make_database: Callable[[], str]) -> Iterator[Stage]:
    with stage(make_database()) as made:
        yield made


@pytest.fixture
def world(place: Stage) -> Informing:
    """Give a site with two accounts."""
    made = Informing(place)
    made.account("ann", email=ANN)
    made.account("bo", email=BO)
    return made


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


_MESSAGES: Final[dict[str, tuple[str, Json | bytes, str | None]]] = {
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


# The embedded bus has proper keys.
_ON_THE_BUS: Final = sorted(_MESSAGES.keys() - {"with another's key"})


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"status": "active", "minor": True}])
@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("kind", _ON_THE_BUS)
def test_nothing_is_left_of_what_was_on_the_bus(
    world: Informing, place: Stage, kind: str, gone: Json, *, read: bool
) -> None:
    """Also where nobody has read it yet, and where nobody could; minors' choices stay."""
    topic, data, key = _MESSAGES[kind]
    place.producer.send([message(place, topic, data, key)])
    if read:
        world.pipeline.settle()
    place.clock += HOUR
    place.database.transaction(deleting(place, **gone))
    world.pipeline.settle()
    if topic != "choices" or "minor" not in gone:
        assert found(place, ANN, ANN.upper()) == set()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("kind", _MESSAGES)
def test_nothing_is_left_in_dead_letters(place: Stage, kind: str) -> None:
    """Those of Kafka have any key, or are in structured mode."""
    topic, data, key = _MESSAGES[kind]
    sent = [message(place, topic, data, key), message(place, topic, data, "any")]
    if not isinstance(data, bytes):
        event = {"specversion": "1.0", "type": "x", "source": "s", "id": "i"}
        encoded = b64encode(json.dumps(data).encode()).decode()
        sent += [
            message(place, topic, event | inner, None, STRUCTURED)
            for inner in ({"data": data}, {"data_base64": encoded})
        ]
    with place.database.connection() as connection:
        for one in sent:
            log.append_dead_letter(connection, one, "reconsent", BadInputError("no"))
    place.clock += HOUR
    place.database.transaction(deleting(place))
    assert found(place, ANN, ANN.upper()) == set()


@pytest.mark.parametrize(
    "kind", ["names no notice", "another spelling", "not ours", "not ours, by its id"]
)
def test_a_report_that_comes_after_the_deletion_leaves_no_address(
    world: Informing, place: Stage, kind: str
) -> None:
    """It counts for the mailbox, by a hash, also when it comes once more."""
    place.database.transaction(deleting(place))
    place.clock += HOUR
    topic, data, key = _MESSAGES[kind]
    assert isinstance(data, dict)
    place.producer.send([message(place, topic, data | {"event": "bounced"}, key)])
    world.pipeline.settle()
    assert found(place, ANN, ANN.upper()) == set()
    with place.database.connection() as connection:
        marks = marks_of(connection, [place.signer.address_hash(ANN)])
    assert len(marks) == (not kind.startswith("not ours"))


def test_what_concerns_others_stays(world: Informing, place: Stage) -> None:
    """A report about bo's mailbox, his dead letter, and what names an address both have."""
    world.account("abe", email=ANN)
    sent = [
        message(place, "mail-events", report(email=BO)),
        message(place, "mail-events", report(email=ANN)),
        message(place, "accounts", whole("bo", email=BO, status="odd"), f"{SITE}/bo"),
    ]
    place.producer.send(sent)
    world.pipeline.settle()
    place.clock += HOUR
    place.database.transaction(deleting(place))
    with place.database.connection() as connection:
        kept = connection.execute(
            "SELECT value FROM bus_messages"
            " WHERE topic LIKE 'mail-events%%' OR topic LIKE '%%.dead'"
        ).fetchall()
    assert sorted(value for (value,) in kept) == sorted(one.value or b"" for one in sent)


def test_what_an_earlier_release_left_goes_with_the_next_deletion(
    world: Informing, place: Stage
) -> None:
    """A report about somebody who was deleted then; what cannot be read may still be mended."""
    left = message(place, "mail-events", report(email=ANN, reason=f"no <{ANN}>"))
    strange = message(place, "mail-events", report("exploded", email="c@example.org"))
    place.producer.send([strange])
    world.pipeline.settle()
    place.database.transaction(deleting(place))
    place.producer.send([left])
    place.clock += HOUR
    place.database.transaction(deleting(place, account="bo"))
    assert found(place, ANN) == set()
    assert found(place, "c@example.org") == {"bus_messages.value"}
    place.producer.send([message(place, "mail-events", report(email="c@example.org"))])
    world.pipeline.settle()
    assert world.pipeline.dead_letters() != []
    assert found(place, "c@example.org") == {"bus_messages.value"}


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("deletion_first", [True, False])
def test_a_report_is_read_while_the_account_is_deleted(
    place: Stage, *, deletion_first: bool
) -> None:
    """Whichever is first, the address goes, though neither sees what the other does."""
    data = report(email=ANN)
    said = MailEvent.model_validate(data, strict=False)

    def read(connection: Connection) -> None:
        # It came in after a deletion that is not committed had looked for it.
        record_mail_events(connection, [said], place.signer.address_hash)

    place.clock += HOUR
    first, second = deleting(place), read
    if not deletion_first:
        first, second = second, first
        place.producer.send([message(place, "mail-events", data)])
    other = threading.Thread(target=lambda: place.database.transaction(second))
    with place.database.connection() as connection:
        first(connection)
        if deletion_first:
            place.producer.send([message(place, "mail-events", data)])
        other.start()
        while other.is_alive() and not _waiting(place):
            time.sleep(0.01)
    other.join()
    assert found(place, ANN) == set()


def _waiting(place: Stage) -> bool:
    with place.database.connection() as connection:
        return bool(
            connection.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            ).fetchall()
        )


@pytest.mark.parametrize("first", ["ann", "abe"])
def test_two_accounts_of_one_address_are_deleted_at_the_same_time(
    world: Informing, place: Stage, first: str
) -> None:
    """The later of the two erases it, though neither sees what the other does."""
    world.account("abe", email=ANN)
    place.producer.send([message(place, "mail-events", report(email=ANN))])
    world.pipeline.settle()
    place.clock += HOUR
    second = "abe" if first == "ann" else "ann"
    at_once(place.database, deleting(place, account=first), deleting(place, account=second))
    assert found(place, ANN) == set()


def test_a_refused_report_that_comes_after_the_deletion_leaves_no_address(
    world: Informing, place: Stage
) -> None:
    """Neither on the bus nor in the dead letter, which is made after it was erased there."""
    world.collected("ann")
    world.publish("marketing")
    [notice] = [one["notice"] for one in world.pipeline.notices() if one["account"] == "ann"]
    place.clock += HOUR
    place.database.transaction(deleting(place))
    data = report("bounced", email=ANN, reason=f"550 <{ANN}>", notice=notice)
    place.producer.send([message(place, "mail-events", data, notice)])
    world.pipeline.settle()
    assert world.pipeline.dead_letters() != []
    assert found(place, ANN) == set()
