"""Dead letters that are retried or discarded, on a real PostgreSQL."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from functools import partial
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain import cloudevents
from reconsent.domain.dead_letters import with_later
from reconsent.domain.errors import BadInputError
from reconsent.domain.event_hash import hash_of_event
from reconsent.domain.signing import Signer
from reconsent.facts.record.accounts import lock_accounts
from reconsent.facts.record.dead_letters import Retried, retry
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.dead_letters import count, lock, read, remove, renew, waiting
from reconsent.store.offsets import advance
from reconsent.store.postgres import connect
from reconsent.workers import dead_letter_relay as relay
from tests.integration.facts.record.dead_letters import (
    NOW,
    RECORDER,
    RECORDER_HASH,
    SHOP,
    bury_all,
    denial,
    event,
    follower,
    garbage,
    left,
    profile,
    recorded,
    retry_all,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconsent.domain.dead_letters import Id
    from reconsent.store.postgres import Connection, Database


def test_a_retried_letter_is_recorded_and_removed(database: Database) -> None:
    """A retried dead letter is recorded as intake records it, and waits no longer."""
    messages = [
        profile("ann", email="ann@example.org"),
        event("collections", "ann", 1, data_category="user.contact", collected_at=NOW.isoformat()),
        denial("ann", 2, evidence={"call": "c-1"}),
    ]
    ids = bury_all(database, messages)
    done = retry_all(database, [[id_] for id_ in ids])
    assert [letter.id for letter in done.taken] == ids
    assert (done.refused, done.gone, done.left) == ((), (), ())
    assert left(database) == set()
    assert recorded(database, "SELECT account, email FROM accounts") == [("ann", "ann@example.org")]
    assert len(recorded(database, "SELECT FROM collections")) == 1
    # The choice is known by the id from its sender, so that sending it again adds nothing.
    known = hash_of_event("urn:test", "ann 2", RECORDER_HASH)
    assert recorded(database, "SELECT event_hash FROM consents") == [(known,)]
    assert retry_all(database, [[id_] for id_ in ids]).gone == tuple(ids)


def test_a_letter_dated_ahead_counts_from_when_it_came_in(database: Database) -> None:
    """However late it is retried: it does not outrank what was said in between."""
    agreed = denial("ann", answer="allow", decided_at=(NOW + timedelta(days=2)).isoformat())
    ids = bury_all(database, [agreed._replace(appended=True)])
    database.transaction(lambda c: renew(c, {ids[0]: BadInputError("again")}))
    later = NOW + timedelta(days=3)
    recorder = Recorder(PublishedVersions(), Signer("secret").address_hash, lambda: later)
    database.transaction(lambda c: retry(c, recorder, ids))
    assert recorded(database, "SELECT decided_at, stated_at FROM consents") == [
        (NOW, NOW + timedelta(days=2))
    ]


def test_a_letter_that_is_refused_again_stays(database: Database) -> None:
    """It keeps its id, place and content; its reason is the new one."""
    ids = bury_all(database, [garbage("accounts", "ann", 7), follower()])
    before = database.transaction(lambda c: read(c, ids))
    done = retry_all(database, [[id_] for id_ in ids])
    assert done.taken == ()
    after = database.transaction(lambda c: read(c, ids))
    assert [after[id_].message for id_ in ids] == [before[id_].message for id_ in ids]
    assert {str(letter.id): why for letter, why in done.refused} == {
        str(id_): after[id_].reason for id_ in ids
    }
    assert "not JSON" in after[ids[0]].reason
    assert "follows" in after[ids[1]].reason
    assert [after[id_].exception for id_ in ids] == ["BadInputError", "RefusedError"]
    assert [after[id_].group for id_ in ids] == ["reconsent", "reconsent"]


def test_a_retry_is_atomic(database: Database) -> None:
    """If the transaction fails, nothing is recorded and the dead letter waits as before."""
    ids = bury_all(database, [profile("ann"), garbage("accounts", "bo")])
    before = database.transaction(lambda c: read(c, ids))

    def work(connection: Connection) -> None:
        retry(connection, RECORDER, ids)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transaction(work)
    assert database.transaction(lambda c: read(c, ids)) == before
    assert recorded(database, "SELECT FROM accounts") == []


def test_concurrent_retries_record_once(database: Database) -> None:
    """The second retry waits for the first and finds the dead letter gone."""
    ids = bury_all(database, [denial("ann")])
    begun, go_on = Event(), Event()
    found: list[Retried] = []

    def first(connection: Connection) -> None:
        found.append(retry(connection, RECORDER, ids))
        begun.set()
        assert go_on.wait(30)

    def second(connection: Connection) -> None:
        found.append(retry(connection, RECORDER, ids))

    one = Thread(target=database.transaction, args=(first,))
    one.start()
    assert begun.wait(30)
    other = Thread(target=database.transaction, args=(second,))
    other.start()
    go_on.set()
    one.join(30)
    other.join(30)
    assert [len(done.taken) for done in found] == [1, 0]
    assert found[1].gone == tuple(ids)


def test_letters_of_a_key_keep_their_order(database: Database) -> None:
    """A line stops at a letter that is refused again; lines of other keys continue."""
    ids = bury_all(
        database,
        [
            profile("ann", 0),
            denial("ann", 1),
            garbage("accounts", "ann", 2),
            denial("ann", 3),
            profile("ann", 4, contact="none"),
            profile("bo", 0),
            denial("bo", 1),
        ],
    )
    letters = database.transaction(waiting)
    done = retry_all(database, with_later(letters, {ids[0], ids[5]}))
    assert {letter.id for letter in done.taken} == {ids[0], ids[1], ids[5], ids[6]}
    assert [letter.id for letter, _ in done.refused] == [ids[2]]
    assert done.left == (ids[3], ids[4])
    assert left(database) == {ids[2], ids[3], ids[4]}
    assert {id_: each.reason for id_, each in _read(database, ids[3:5]).items()} == {
        ids[3]: "before",
        ids[4]: "before",
    }
    database.transaction(lambda c: remove(c, [ids[2]]))
    done = retry_all(database, with_later(database.transaction(waiting), {ids[3]}))
    assert [letter.id for letter in done.taken] == [ids[3], ids[4]]
    assert recorded(database, "SELECT contact FROM accounts WHERE account = 'ann'") == [("none",)]


def _read(database: Database, ids: Collection[Id]) -> dict[Id, Any]:
    return database.transaction(lambda c: dict(read(c, ids)))


def test_an_older_fact_does_not_override_a_newer_one(database: Database) -> None:
    """Retried in any order, facts are merged by their own times."""
    old, new = bury_all(database, [profile("ann", 0), profile("ann", 5, contact="none")])
    assert retry_all(database, [[new], [old]]).refused == ()
    assert recorded(database, "SELECT contact FROM accounts") == [("none",)]


def test_a_deletion_removes_the_dead_letters_of_its_account(database: Database) -> None:
    """A retried deletion erases the account's other dead letters; they are not refused."""
    deletion = profile("ann", 9, status="deleted", contact="none")
    personal = profile("ann", 1, email="ann@example.org")
    ids = bury_all(database, [garbage("accounts", "ann"), personal, deletion])
    others = bury_all(database, [profile("bo")])
    done = database.transaction(lambda c: retry(c, RECORDER, [ids[2], ids[0]]))
    assert [letter.id for letter in done.taken] == [ids[2]]
    assert done.refused == ()
    assert done.gone == (ids[0],)
    assert left(database) == set(others)


def test_a_deadlock_of_retry_and_erasure_is_resolved(database: Database) -> None:
    """Each locks what the other needs: one of them is repeated, and both succeed."""
    personal = profile("ann", 1, email="ann@example.org")
    ids = bury_all(database, [personal, profile("bo")])
    deletion = cloudevents.read(profile("ann", 9, status="deleted", contact="none"))
    both = Barrier(2)
    tries: list[str] = []

    def meet(name: str) -> None:
        tries.append(name)
        if tries.count(name) == 1:
            both.wait(30)

    def retrying(connection: Connection) -> None:
        lock(connection, ids)
        meet("retry")
        retry(connection, RECORDER, ids)

    def erasing(connection: Connection) -> None:
        lock_accounts(connection, [(SHOP, "ann")])
        meet("erase")
        RECORDER.record(connection, [deletion])

    threads = [Thread(target=database.transaction, args=(work,)) for work in (retrying, erasing)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(tries) > 2
    assert left(database) == set()
    facts = recorded(database, "SELECT account, status, email FROM accounts ORDER BY account")
    assert facts == [("ann", "deleted", None), ("bo", "active", None)]


def test_redacted_data_of_a_minor_stays_redacted(database: Database) -> None:
    """A retried letter that says minor redacts the others; they can still be used."""
    minor = profile("ann", 9, minor=True)
    ids = bury_all(database, [profile("ann", 1, email="ann@example.org", name="Ann"), minor])
    done = database.transaction(lambda c: retry(c, RECORDER, [ids[1]]))
    assert len(done.taken) == 1
    (value,) = recorded(database, "SELECT value FROM bus_messages")[0]
    assert b"ann@example.org" not in value
    assert retry_all(database, [[ids[0]]]).refused == ()
    assert recorded(database, "SELECT email, name, minor FROM accounts") == [(None, None, True)]


def test_discarded_letters_do_not_come_back(database: Database) -> None:
    """A discarded letter is not listed, counted or retried, and its id is not used again."""
    ids = bury_all(database, [garbage("accounts", "ann", n) for n in range(3)])
    assert database.transaction(lambda c: remove(c, ids)) == set(ids)
    assert database.transaction(lambda c: remove(c, ids)) == set()
    assert retry_all(database, [[id_] for id_ in ids]).gone == tuple(ids)
    assert database.transaction(count)["accounts"] == 0
    (new,) = bury_all(database, [garbage("accounts", "ann", 0)])
    assert new not in ids


def test_waiting_letters_are_counted_by_topic(database: Database) -> None:
    """Each topic has a count, also a topic without dead letters."""
    bury_all(database, [garbage("accounts", "ann"), denial("bo"), denial("cy")])
    assert database.transaction(count) == {
        "policy-versions": 0, "accounts": 1, "collections": 0, "choices": 2, "mail-events": 0,
    }  # fmt: skip


def test_letters_of_a_topic_or_a_key_are_found(database: Database) -> None:
    """Letters are found by topic and by key; a key is the account's on every topic."""
    ids = bury_all(database, [garbage("accounts", "ann"), denial("ann", 1), denial("bo")])
    key = f"{SHOP}/ann".encode()

    def found(*topics: str, of: bytes | None = None) -> set[Id]:
        names = topics or ("accounts", "collections", "choices")
        return database.transaction(lambda c: {each.id for each in waiting(c, names, of)})

    assert found() == set(ids)
    assert found(of=key) == set(ids[:2])
    assert found("choices") == set(ids[1:])
    assert found("choices", of=key) == {ids[1]}


@pytest.mark.parametrize("limit", [2, 100])
def test_a_consumer_skips_removed_letters(database: Database, conninfo: str, limit: int) -> None:
    """A consumer of dead letters gets each waiting one once, and reaches the end."""
    ids = bury_all(database, [garbage("accounts", "ann", number) for number in range(9)])
    database.transaction(lambda c: remove(c, [*ids[:2], *ids[4:6], ids[8]]))
    database.transaction(lambda c: retry(c, RECORDER, [ids[2]]))
    passed: list[int] = []
    connected = partial(connect, conninfo, autocommit=True)
    with closing(PostgresConsumer(connected, relay.GROUP, ["accounts.dead"])) as consumer:
        while batch := consumer.poll(limit, 0):
            passed += [message.offset for message in batch.messages]
            database.transaction(partial(_advance, batch))
    assert passed == [id_.offset for id_ in (ids[2], ids[3], ids[6], ids[7])]
    ends = "SELECT next_offset FROM consumer_offsets WHERE partition = 0"
    assert recorded(database, ends) == [(9,)]


def _advance(batch: Any, connection: Connection) -> None:  # noqa: ANN401
    advance(connection, relay.GROUP, batch)
