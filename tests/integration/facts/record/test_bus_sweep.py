"""What deletions by an earlier release left in messages goes when the program starts. RULES 28."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from reconsent.config import settings
from reconsent.domain.errors import BadInputError
from reconsent.domain.message_names import hashed_address
from reconsent.facts.record import bus_sweep
from reconsent.facts.record.bus_sweep import sweep_bus
from reconsent.program import Program
from reconsent.store import log, log_erasure
from reconsent.store.postgres import Connection
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
from tests.integration.informing import HOUR, Informing
from tests.integration.interleaving import at_once
from tests.integration.remains import found
from tests.integration.stage import Stage

# What of an unknown person nobody can read may still be mended: it may be anybody's.
_UNREADABLE: Final = {
    "unreadable", "cut off", "no JSON", "unreadable, by notice", "of an unknown account",
}  # fmt: skip
_READABLE: Final = sorted(MESSAGES.keys() - _UNREADABLE)


@pytest.fixture
def world(place: Stage) -> Informing:
    """Give a site with two accounts."""
    made = Informing(place)
    made.account("ann", email=ANN)
    made.account("bo", email=BO)
    return made


def left_by_an_earlier_release(connection: Connection) -> None:
    """Let the messages be those of an earlier release, as the migration does."""
    connection.execute("UPDATE bus_messages SET names = NULL")
    connection.execute(
        "INSERT INTO bus_sweeps (topic, partition) SELECT topic, partition FROM bus_partitions"
        " WHERE next_offset > 0 ON CONFLICT (topic, partition) DO UPDATE SET next_offset = 0"
    )


def sweep(place: Stage) -> None:
    """Do what the program does at its start."""
    sweep_bus(place.database, place.signer.address_hash)


def values(place: Stage) -> list[tuple[Any, ...]]:
    """Return the messages of the bus, and what is noted of each."""
    with place.database.connection() as connection:
        return connection.execute(
            'SELECT topic, key, value, names FROM bus_messages ORDER BY topic, partition, "offset"'
        ).fetchall()


def to_sweep(place: Stage) -> int:
    """Count the partitions that are not looked through yet."""
    with place.database.connection() as connection:
        return connection.execute("SELECT FROM bus_sweeps").rowcount


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"status": "active", "minor": True}])
@pytest.mark.parametrize("kind", _READABLE)
@pytest.mark.usefixtures("world")
def test_nothing_is_left_of_who_was_deleted_before(place: Stage, kind: str, gone: Json) -> None:
    """On the bus, and in dead letters with any key; minors' choices stay."""
    topic, data, key = MESSAGES[kind]
    said = message(place, topic, data, key)
    place.clock += HOUR
    place.database.transaction(deleting(place, **gone))
    if kind != "with another's key":  # the embedded bus has proper keys
        place.producer.send([said])
    with place.database.connection() as connection:
        for one in (said, said._replace(key=b"any")):
            log.append_dead_letter(connection, one, "reconsent", BadInputError("no"))
        left_by_an_earlier_release(connection)
    assert found(place, ANN, ANN.upper()) >= {"bus_messages.value"}
    sweep(place)
    if topic != "choices" or "minor" not in gone:
        assert found(place, ANN, ANN.upper()) == set()
    assert to_sweep(place) == 0


def test_reports_about_notices_of_who_was_deleted_before_keep_no_ids(
    world: Informing, place: Stage
) -> None:
    """Their ids and texts go, also where they name no address; others' stay."""
    world.informed()
    notices = {one["account"]: one["notice"] for one in world.pipeline.notices()}
    place.clock += HOUR
    place.database.transaction(deleting(place))
    said = {
        account: report(
            "bounced", notice=notices[account], reason=f"550 {account}", provider_id=id_
        )
        for account, id_ in (("ann", "plain-id-of-ann"), ("bo", "plain-id-of-bo"))
    }
    place.producer.send(
        [message(place, "mail-events", data, str(data["notice"])) for data in said.values()]
    )
    odd = report("exploded", notice=notices["ann"], provider_id="plain-id-of-ann")
    with place.database.connection() as connection:
        for data in (odd, said["bo"]):
            dead = message(place, "mail-events", data, "any")
            log.append_dead_letter(connection, dead, "reconsent", BadInputError("no"))
        left_by_an_earlier_release(connection)
    sweep(place)
    assert found(place, "plain-id-of-ann", "550 ann") == set()
    assert sum(b"plain-id-of-bo" in value for _, _, value, _ in values(place)) == 2


def test_what_concerns_others_stays(world: Informing, place: Stage) -> None:
    """What is not deleted, came since, or cannot be read; and all of it is looked into."""
    world.account("abe", email="abe@example.org")
    place.clock += HOUR
    place.database.transaction(deleting(place))
    place.clock += HOUR
    sent = [
        message(place, "mail-events", report(email=BO, reason=f"no <{BO}>")),
        message(place, "mail-events", report("exploded", email="c@example.org")),
        message(place, "accounts", whole("bo", email=BO, status="odd")),
        # She may be there again.
        message(place, "accounts", whole("ann", email="new@example.org", status="odd")),
        message(place, "collections", whole("bo", data_category="user")),
    ]
    with place.database.connection() as connection:
        log.append(connection, sent)
        left_by_an_earlier_release(connection)
    sweep(place)
    assert {one.value for one in sent} <= {value for _, _, value, _ in values(place)}
    with place.database.connection() as connection:
        to_name = connection.execute(
            "SELECT FROM bus_messages WHERE names IS NULL AND names_more(topic, key, value)"
        )
        assert to_name.rowcount == 0


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.usefixtures("world")
def test_it_goes_on_where_it_was_killed(
    place: Stage, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Some messages at a time, each of them once."""
    place.clock += HOUR
    place.database.transaction(deleting(place))
    sent = [message(place, "mail-events", report(email=ANN, reason=str(n))) for n in range(9)]
    with place.database.connection() as connection:
        log.append(connection, [one._replace(partition=0) for one in sent[:6]])
        log.append(connection, [one._replace(partition=1) for one in sent[6:]])
        left_by_an_earlier_release(connection)
        connection.execute("DELETE FROM bus_sweeps WHERE topic <> 'mail-events'")
    monkeypatch.setattr(bus_sweep, "_SLICE", limit)
    read, written = log_erasure.impersonal_report, [0]

    def erase(*given: Any) -> Any:  # noqa: ANN401 -- passed on
        if written[0] == 5:
            written[0] += 1
            raise KeyboardInterrupt
        written[0] += 1
        return read(*given)

    monkeypatch.setattr(bus_sweep, "impersonal_report", erase)
    with pytest.raises(KeyboardInterrupt):
        sweep(place)
    assert to_sweep(place) > 0
    done = sum(hashed_address(place.signer.address_hash(ANN)).encode() in value
               for topic, _, value, _ in values(place) if topic == "mail-events")  # fmt: skip
    assert done == 5 // limit * limit
    sweep(place)
    assert found(place, ANN) == set()
    assert written[0] == 6 + 9 - done, "what was done before is not done again"
    before = values(place)
    sweep(place)
    assert values(place) == before


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("deletion_first", [True, False])
@pytest.mark.parametrize("kind", _READABLE)
def test_who_is_deleted_meanwhile_is_erased(
    place: Stage, kind: str, *, deletion_first: bool
) -> None:
    """Whichever is first, though neither sees what the other does."""
    topic, data, key = MESSAGES[kind]
    with place.database.connection() as connection:
        dead = message(place, topic, data, key)
        log.append_dead_letter(connection, dead, "reconsent", BadInputError("no"))
        left_by_an_earlier_release(connection)
        connection.execute("DELETE FROM bus_sweeps WHERE topic <> %s", [f"{topic}.dead"])
    place.clock += HOUR

    def sweep_all(connection: Connection) -> None:
        while bus_sweep._sweep_some(connection, place.signer.address_hash):  # noqa: SLF001
            pass

    works = [deleting(place), sweep_all]
    at_once(place.database, *(works if deletion_first else reversed(works)))
    assert found(place, ANN, ANN.upper()) == set()
    assert to_sweep(place) == 0


def test_a_deletion_looks_for_its_own_account_alone(world: Informing, place: Stage) -> None:
    """What is to be erased of others is none of its work; it finds nothing it would miss."""
    place.database.transaction(deleting(place))
    place.clock += HOUR
    place.producer.send([message(place, "mail-events", report(email="c@example.org"))])
    place.database.transaction(deleting(place, account="bo"))
    assert found(place, "c@example.org") == {"bus_messages.value"}
    world.pipeline.settle()
    assert found(place, "c@example.org") == set()


@pytest.mark.usefixtures("world")
def test_the_program_sweeps_before_it_does_anything_else(
    place: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever command uses the database first."""
    place.database.transaction(deleting(place))
    with place.database.connection() as connection:
        log.append(connection, [message(place, "mail-events", report(email=ANN))])
        left_by_an_earlier_release(connection)
    monkeypatch.setenv("RECONSENT_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", place.conninfo)
    monkeypatch.setenv("RECONSENT_SECRET", "secret")
    monkeypatch.setenv("RECONSENT_API_TOKEN", "token")
    with Program(settings()) as program:
        program.database.transaction(lambda connection: connection.execute("SELECT"))
    assert (to_sweep(place), found(place, ANN)) == (0, set())
