"""No clock outranks a person: facts count no later than they came in. RULES 27."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from typing import Any, Final, LiteralString

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.account import Past, history
from reconsent.domain.cloudevents import BARE_SOURCE, bare
from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.domain.signing import Signer
from reconsent.facts.read.counts import EarlyCount, count_early
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database

NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANN: Final = {"property": "shop.example", "account": "ann"}
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
_AHEAD: Final = [timedelta(seconds=1), 2 * MINUTE, timedelta(hours=30), timedelta(days=90)]

_STANDING: Final = """
SELECT members FROM standings JOIN account_sets USING (standing_id)
JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""
_HISTORY: Final = """
SELECT since, account_history.status, account_history.contact, account_history.minor
FROM account_history JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""
_NUMBERS: Final = count()

Facts = Mapping[str, Any]


def choice(answer: str, at: datetime, **fields: object) -> tuple[str, Facts]:
    """Say something about one use."""
    said = {"answer": answer, "data_use": "marketing", "data_category": "user.contact"}
    version = {"collected_under": "v1", "recipient": "shop", "decided_at": at.isoformat()}
    return "choices", ANN | said | version | fields


def account(contact: str, at: datetime, **fields: object) -> tuple[str, Facts]:
    """Say how the account may be contacted."""
    state = {"status": "active", "contact": contact, "updated_at": at.isoformat()}
    return "accounts", ANN | state | fields


def collection(at: datetime, *, erased: bool = False) -> tuple[str, Facts]:
    """Say that data was collected, or erased."""
    data = {"data_category": "user.contact", "collected_under": "v1", "erased": erased}
    return "collections", ANN | data | {"collected_at": at.isoformat()}


def record(
    database: Database, now: datetime, *events: tuple[str, Facts], on_bus: bool = False
) -> None:
    """Record events that come in at a time, in one batch."""
    recorder = Recorder(PublishedVersions(), Signer("secret").address_hash, lambda: now)
    received = [_received(topic, data, number) for number, (topic, data) in enumerate(events)]
    if on_bus:
        received = [event._replace(came_in=now) for event in received]
    database.transaction(lambda connection: recorder.record(connection, received))


def _received(topic: str, data: Facts, number: int) -> Received:
    value = json.dumps(data).encode()
    # A repeated choice comes under an id of its own.
    return bare(topic, value, parse(topic, value))._replace(id=f"{number}-{json.dumps(data)}")


def rows(database: Database, query: LiteralString) -> Sequence[tuple[Any, ...]]:
    """Run a query."""
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def decisions(database: Database, account: str = "ann") -> list[str]:
    """Return what stands, by its state."""
    with database.connection() as connection:
        [(members,)] = connection.execute(_STANDING, {"account": account}).fetchall()
    return [state for state, *_ in members]


@pytest.mark.parametrize("ahead", _AHEAD)
def test_a_yes_dated_ahead_does_not_outrank_a_no_said_now(
    database: Database, ahead: timedelta
) -> None:
    """Nor when it comes again, alone or with others; what was stated is kept."""
    agreed = choice("allow", NOW + ahead)
    record(database, NOW, agreed)
    assert decisions(database) == ["ConsentGiven"]
    record(database, NOW + MINUTE, choice("deny", NOW + MINUTE))
    assert decisions(database) == ["ConsentWithdrawn"]
    record(database, NOW + 2 * MINUTE, agreed)
    record(database, NOW + timedelta(days=200), agreed, choice("deny", NOW - MINUTE), agreed)
    assert decisions(database) == ["ConsentWithdrawn"]
    found = rows(
        database, "SELECT DISTINCT decided_at, stated_at FROM consents WHERE answer = 'allow'"
    )
    assert found == [(NOW, NOW + ahead)]


def test_an_opt_in_dated_ahead_does_not_outrank_an_opt_out(database: Database) -> None:
    """The account stays opted out, whatever is repeated."""
    far = account("all", NOW + timedelta(days=200), email="ann@example.org")
    record(database, NOW, far, on_bus=True)
    record(database, NOW + MINUTE, account("none", NOW + MINUTE), on_bus=True)
    record(database, NOW + timedelta(days=201), far, on_bus=True)
    assert rows(database, "SELECT contact, updated_at FROM accounts") == [("none", NOW + MINUTE)]


def test_every_state_said_is_part_of_the_history(database: Database) -> None:
    """In either order of arrival, once, and also where it changes nothing now."""
    said = [
        account("all", NOW - timedelta(days=9)),
        account("all", NOW - timedelta(days=5), name="Ann"),
        account("none", NOW - timedelta(days=7)),
        account("service", NOW - timedelta(days=7)),
        account("all", NOW + timedelta(days=1)),
    ]
    for order in permutations(said):
        name = f"account-{next(_NUMBERS)}"
        for topic, data in (*order, said[0]):
            record(database, NOW, (topic, {**data, "account": name}))
        with database.connection() as connection:
            rows = connection.execute(_HISTORY, {"account": name}).fetchall()
        assert [
            (since, contact) for since, _, contact, _ in history(Past(*row) for row in rows)
        ] == [
            (NOW - timedelta(days=9), "all"),
            (NOW - timedelta(days=7), "none"),
            (NOW - timedelta(days=5), "all"),
        ]
        assert len(rows) == len(said)


def test_data_collected_ahead_is_erased_by_an_erasure_now(database: Database) -> None:
    """It does not come back when it is repeated on its day."""
    ahead = collection(NOW + timedelta(days=2))
    record(database, NOW, ahead)
    record(database, NOW + MINUTE, collection(NOW + MINUTE, erased=True))
    record(database, NOW + timedelta(days=3), ahead)
    [(members,)] = rows(
        database, "SELECT members FROM holdings JOIN account_sets USING (holdings_id)"
    )
    assert members == []


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("copy", ["the same event", "another event"])
def test_a_yes_counts_from_when_it_came_in_first(
    database: Database, copy: str, *, ahead: bool
) -> None:
    """Also where that is read late: a no said between an import of it and the topic's stands."""
    stated = NOW + timedelta(hours=1)
    agreed = choice("allow", stated)
    # Imported before or after the time that it states; the topic had it since NOW.
    imported = stated - MINUTE if ahead else stated + HOUR
    record(database, imported, agreed)
    record(database, NOW + MINUTE, choice("deny", NOW + MINUTE), on_bus=True)
    assert decisions(database) == ["ConsentGiven"]
    others = [] if copy == "the same event" else [choice("deny", NOW - timedelta(days=1))]
    for _ in range(2):
        record(database, NOW, *others, agreed, on_bus=True)
        record(database, imported + HOUR, agreed)
        assert decisions(database) == ["ConsentWithdrawn"]


@pytest.mark.parametrize("ahead", [True, False])
def test_data_counts_from_when_it_came_in_first(database: Database, *, ahead: bool) -> None:
    """Also where that is read late: an erasure between an import of it and the topic's holds."""
    stated = NOW + timedelta(hours=1)
    collected, imported = collection(stated), stated - MINUTE if ahead else stated + HOUR
    record(database, imported, collected)
    record(database, NOW + MINUTE, collection(NOW + MINUTE, erased=True), on_bus=True)
    for _ in range(2):
        record(database, NOW, collected, on_bus=True)
        record(database, imported + HOUR, collected)
        [(members,)] = rows(
            database, "SELECT members FROM holdings JOIN account_sets USING (holdings_id)"
        )
        assert members == []
        assert rows(database, "SELECT collected_at FROM collections") == [(NOW,)]


def test_the_bus_says_when_something_came_in(database: Database) -> None:
    """A replay of its log much later counts as before."""
    events = [choice("allow", NOW + timedelta(days=30)), choice("deny", NOW)]
    record(database, NOW, *events, on_bus=True)
    found = rows(database, "SELECT answer, decided_at FROM consents ORDER BY answer")
    assert found == [("allow", NOW), ("deny", NOW)]
    assert decisions(database) == ["ConsentRefused"]


def test_status_counts_whose_clocks_are_ahead(database: Database) -> None:
    """By topic and source, from five minutes on."""
    events = [choice("deny", NOW + ahead) for ahead in (MINUTE, 6 * MINUTE, 7 * MINUTE)]
    record(database, NOW, *events, account("all", NOW - MINUTE))
    with database.connection() as connection:
        [early] = count_early(connection)
    assert early == EarlyCount("choices", BARE_SOURCE, 2, 7 * MINUTE)


_SKEWS: Final = st.timedeltas(timedelta(days=-2), timedelta(days=90))
_PAUSES: Final = st.timedeltas(timedelta(0), timedelta(days=3))


@given(
    said=st.lists(st.tuples(_PAUSES, _SKEWS), min_size=1, max_size=4),
    repeats=st.lists(st.tuples(_PAUSES, st.integers(0, 3)), max_size=4),
    at_once=st.booleans(),
)
def test_no_later_no_is_ever_outranked(
    shared: Database,
    said: Sequence[tuple[timedelta, timedelta]],
    repeats: Sequence[tuple[timedelta, int]],
    *,
    at_once: bool,
) -> None:
    """Yeses by any clocks, and repeated at any time: a no said after all of them stands."""
    name = f"account-{next(_NUMBERS)}"
    now = NOW
    agreed = []
    for pause, skew in said:
        now += pause
        agreed.append(choice("allow", now + skew, account=name))
        record(shared, now, agreed[-1])
    now += MINUTE
    record(shared, now, choice("deny", now, account=name))
    again = []
    for pause, pick in repeats:
        now += pause
        again.append(agreed[pick % len(agreed)])
        if not at_once:
            record(shared, now, again[-1])
    if at_once:
        record(shared, now, *again)
    assert decisions(shared, name) == ["ConsentWithdrawn"]
