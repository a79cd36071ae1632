"""What messages say of a deleted account goes, whatever their keys are, and whoever reads them."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime
from typing import Final

import pytest

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.facts.record.marks import marks_of
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store import log
from tests.integration.facts.record.personal_messages import (
    ANN,
    BO,
    MESSAGES,
    Json,
    deleting,
    message,
    report,
    whole,
)
from tests.integration.informing import HOUR, SITE, Informing
from tests.integration.remains import found
from tests.integration.stage import Stage

STRUCTURED: Final = (("content-type", b"application/cloudevents+json"),)


@pytest.fixture
def world(place: Stage) -> Informing:
    """Give a site with two accounts."""
    made = Informing(place)
    made.account("ann", email=ANN)
    made.account("bo", email=BO)
    return made


# The embedded bus has proper keys.
_ON_THE_BUS: Final = sorted(MESSAGES.keys() - {"with another's key"})


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"status": "active", "minor": True}])
@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("kind", _ON_THE_BUS)
def test_nothing_is_left_of_what_was_on_the_bus(
    world: Informing, place: Stage, kind: str, gone: Json, *, read: bool
) -> None:
    """Also where nobody has read it yet, and where nobody could; minors' choices stay."""
    topic, data, key = MESSAGES[kind]
    place.producer.send([message(place, topic, data, key)])
    if read:
        world.pipeline.settle()
    place.clock += HOUR
    place.database.transaction(deleting(place, **gone))
    world.pipeline.settle()
    if topic != "choices" or "minor" not in gone:
        assert found(place, ANN, ANN.upper()) == set()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("kind", MESSAGES)
def test_nothing_is_left_in_dead_letters(place: Stage, kind: str) -> None:
    """Those of Kafka have any key, or are in structured mode."""
    topic, data, key = MESSAGES[kind]
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
    topic, data, key = MESSAGES[kind]
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


def test_an_earlier_copy_that_dates_it_before_the_deletion_leaves_nothing_of_it(
    world: Informing, place: Stage
) -> None:
    """Neither of the address that the account seemed to have again, nor a notice to it."""
    deleted_at = place.clock
    place.database.transaction(deleting(place))
    place.clock += HOUR
    again = whole("ann", email=BO.replace("bo", "again"), updated_at=(place.clock).isoformat())
    world.collected("ann")

    def came_in(at: datetime) -> None:
        event = parse("accounts", json.dumps(again).encode())
        received = Received("accounts", "/crm", "1", event, at)
        recorder = Recorder(PublishedVersions(), place.signer.address_hash, lambda: at)
        place.database.transaction(lambda connection: recorder.record(connection, [received]))

    came_in(deleted_at + HOUR / 2)
    place.producer.send([message(place, "mail-events", report(email=str(again["email"])))])
    world.publish("marketing")
    [notice] = [one for one in world.pipeline.notices() if one["account"] == "ann"]
    assert notice["suppression"] is None
    came_in(deleted_at - HOUR)
    assert found(place, str(again["email"])) == set()
    assert place.signer.address_hash(str(again["email"])).hex() not in str(_namings(place))
    [notice] = [one for one in world.pipeline.notices() if one["account"] == "ann"]
    assert notice["suppression"] == "deleted"


def _namings(place: Stage) -> list[str]:
    with place.database.connection() as connection:
        found_ones = connection.execute("SELECT address_hash FROM named_addresses").fetchall()
    return [mailbox.hex() for (mailbox,) in found_ones]
