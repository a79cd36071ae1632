"""Erasing messages from the bus in PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from reconsent.bus.postgres import PostgresProducer
from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import read
from reconsent.domain.event_hash import HASHED, hash_of_event
from reconsent.store.log import append_dead_letter
from reconsent.store.log_erasure import erase, hide
from reconsent.store.postgres import Connection
from tests.bus_contract import Join, Lag
from tests.integration.bus.stored import stored
from tests.kafka.events import GROUP, NOW, account, drain, message, plain


def _values(connection: Connection) -> bytes:
    messages = connection.execute("SELECT value FROM bus_messages")
    return b" ".join(value or b"" for (value,) in messages)


def _keyed(text: str) -> bytes:
    return sha256(b"key" + text.encode()).digest()


def _of_others_and_later(choice: dict[str, object]) -> list[Message]:
    later = NOW + timedelta(days=1)
    said = choice | {"decided_at": later.isoformat(), "evidence": "later"}
    return [
        account(2, email="other@example.com"),
        account(1, at=later, email="again@example.com")._replace(timestamp=later),
        message("accounts", 1, None),
        message("choices", 1, said)._replace(timestamp=later),
    ]


def test_a_deletion_erases_messages_of_the_account(
    join: Join, connection: Connection, producer: PostgresProducer
) -> None:
    """No personal data of a deleted account stays, in unreadable messages and dead letters too.

    Other accounts, later messages, tombstones and decisions stay.
    """
    of_account: dict[str, object] = {"property": "shop.example", "account": "1"}
    collection = of_account | {"data_category": "user.contact", "collected_at": NOW.isoformat()}
    choice = of_account | {"answer": "deny", "data_use": "marketing", "decided_at": NOW.isoformat()}
    stays = _of_others_and_later(choice)
    unreadable = Message("accounts", b"shop.example/1", b"{ann@example.com", (), NOW)
    goes = [account(1, email="ann@example.com"), message("collections", 1, collection)]
    kept_evidence = message("choices", 1, choice | {"evidence": {"ip": "192.0.2.1"}})
    bare = kept_evidence._replace(headers=())
    changes = [message("choices", 1, choice), kept_evidence, bare]
    producer.send([*goes, *stays, *changes, unreadable])
    for poison in (unreadable, kept_evidence):
        append_dead_letter(
            connection, poison._replace(partition=0, offset=0), GROUP, ValueError("no")
        )
    before = {hash_of_event(*read(m)[1:3], _keyed) for m in changes}

    for _ in range(2):
        erase(connection, {b"shop.example/1": NOW}, _keyed)
    connection.commit()

    values = _values(connection)
    assert b"ann@example.com" not in values
    assert b"192.0.2.1" not in values
    taken = drain(join("accounts", "collections", "choices"), connection)
    left_over = plain(taken)
    assert all(m in left_over for m in stays)
    assert len(left_over) == len(stays) + len(changes)
    changed = [read(m) for m in left_over if m not in stays]
    assert {event.source for event in changed} == {HASHED}
    assert {hash_of_event(event.source, event.id, _keyed) for event in changed} == before
    dead = drain(join("choices.dead", "accounts.dead"), connection)
    assert [m.topic for m in dead] == ["choices.dead"]
    assert b"dead-letter-exception-class" in str(dead[0].headers).encode()


def test_a_deletion_erases_messages_that_were_dated_ahead(
    connection: Connection, producer: PostgresProducer
) -> None:
    """They count from when they came in; of dead letters that is known if their bus said it."""
    later = NOW + timedelta(days=1)
    of_account: dict[str, object] = {"property": "shop.example", "account": "1"}
    choice = of_account | {"answer": "deny", "data_use": "marketing", "evidence": "ip"}
    ahead = [
        account(1, at=later, email="ann@example.com"),
        message("choices", 1, choice | {"decided_at": later.isoformat()}),
    ]
    producer.send(ahead)
    for number, one in enumerate(ahead):
        placed = one._replace(partition=0, offset=number, appended=True)
        append_dead_letter(connection, placed, GROUP, ValueError("no"))
    dated_by_sender = account(1, at=later, email="bo@example.com")
    append_dead_letter(
        connection, dated_by_sender._replace(partition=0, offset=9), GROUP, ValueError("no")
    )
    hide(connection, {b"shop.example/1": NOW - timedelta(seconds=1)}, _keyed)
    assert len(stored(connection, "accounts.dead")) == 2
    erase(connection, {b"shop.example/1": NOW}, _keyed)
    assert stored(connection, "accounts") == []
    [(_, left)] = stored(connection, "accounts.dead")
    assert left == dated_by_sender.value
    for topic in ("choices", "choices.dead"):
        [(_, value)] = stored(connection, topic)
        assert b"evidence" not in (value or b"")


def test_nothing_stays_of_the_address_of_a_minor_that_was_dated_ahead(
    connection: Connection, producer: PostgresProducer
) -> None:
    """It counts from when it came in."""
    producer.send([account(1, at=NOW + timedelta(days=1), email="ann@example.com")])
    hide(connection, {b"shop.example/1": NOW}, _keyed)
    [(_, value)] = stored(connection, "accounts")
    assert value
    assert b"ann@example.com" not in value


def test_erased_messages_are_skipped(
    join: Join, lag: Lag, connection: Connection, producer: PostgresProducer
) -> None:
    """A consumer skips erased messages, and partitions that have no others."""
    producer.send([account(1, email="ann@example.com")] * 5)
    erase(connection, {b"shop.example/1": NOW}, _keyed)
    connection.commit()
    member = join("accounts")
    assert drain(member, connection) == []
    assert lag()["accounts"] == 0
    producer.send([account(1, at=NOW + timedelta(days=1))])
    assert [m.offset for m in drain(member, connection)] == [5]
