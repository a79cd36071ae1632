"""Namings count from their earliest copies, and are forgotten, in any order. RULES 15, 28."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.facts.record.marks import Marked, mark, marks_of
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from tests.integration.facts.record.copies import (
    DELETED,
    HASH,
    MINUTE,
    NOW,
    Copy,
    Statement,
    at_once,
    in_order,
    play,
    read,
    told_of,
)

Told = tuple[Sequence[Statement], Sequence[Copy]]
_VERIFIED: Final = (NOW + 35 * MINUTE).isoformat()
_NAMED: Final = """
WITH named AS (
    SELECT named_addresses.address_hash, named_at, verified_at
    FROM named_addresses JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
    UNION
    SELECT address_hash, coalesce(address_since, updated_at), email_verified_at
    FROM accounts WHERE account = %(account)s AND address_hash IS NOT NULL
)
SELECT address_hash, array_agg(DISTINCT named_at ORDER BY named_at), max(verified_at)
FROM named GROUP BY 1 ORDER BY 1
"""
_NOTED: Final = """
SELECT address_hash, coalesce(address_since, updated_at), email_verified_at FROM accounts
WHERE account = %(account)s AND address_hash IS NOT NULL
"""
_NUMBERS: Final = count()


def profile(number: int, **fields: object) -> tuple[str, dict[str, Any]]:
    """Return what an account event says."""
    said = {"status": "active", "contact": "all", "email": f"{number}@example.org"}
    return "accounts", said | fields


_PROFILES: Final = [
    profile(1), profile(1, email_verified_at=_VERIFIED, name="Ann"), profile(2),
    profile(2, email_verified_at=_VERIFIED, contact="none"),
]  # fmt: skip
_ENDS: Final = [("accounts", DELETED), profile(4, minor=True)]


def play_at_once(database: Database, copies: Sequence[Copy]) -> str:
    """Record copies in one batch as of a new account; return its name."""
    name = f"batch-{next(_NUMBERS)}"
    received = []
    for copy in copies:
        data = copy.data | {"property": "shop.example", "account": name}
        event = parse(copy.topic, json.dumps(data).encode())
        received.append(Received(copy.topic, "/crm", copy.id, event, copy.came_in))
    now = max(copy.came_in for copy in copies)
    recorder = Recorder(PublishedVersions(), HASH, lambda: now)
    database.transaction(lambda connection: recorder.record(connection, received))
    return name


@given(told=told_of(_PROFILES), together=st.booleans())
def test_namings_count_from_their_earliest_copies(
    shared: Database, told: Told, *, together: bool
) -> None:
    """However many there are, whichever is read first, and how many at a time."""
    said, copies = told
    found = (play_at_once if together else play)(shared, copies)
    expected = play(shared, in_order(said))
    for query in (_NAMED, _NOTED):
        assert read(shared, query, found) == read(shared, query, expected)


def _once(told: Told) -> Told:
    """Leave one copy of each statement, in the drawn order."""
    said = [one._replace(arrivals=one.arrivals[:1]) for one in told[0]]
    first = [copy for one in said for copy in one.copies()]
    return said, sorted(
        first, key=lambda copy: [one.came_in for one in told[1]].index(copy.came_in)
    )


def _minutes(*kinds: tuple[str, dict[str, Any]]) -> Told:
    said = [
        Statement(*kind, NOW + number * MINUTE, [NOW + 99 * MINUTE])
        for number, kind in enumerate(kinds)
    ]
    return said, in_order(said)


@given(told=told_of([*_PROFILES, *_ENDS]).map(_once), together=st.booleans())
@example(told=_minutes(profile(1), _ENDS[1], profile(2)), together=True)
@example(told=_minutes(profile(1), _ENDS[0], profile(1)), together=True)
def test_what_was_named_before_a_deletion_or_as_a_minor_is_forgotten(
    shared: Database, told: Told, *, together: bool
) -> None:
    """In any order, and all in one batch."""
    said, copies = told
    found = (play_at_once if together else play)(shared, copies)
    expected = play(shared, in_order(said))
    for query in (_NAMED, _NOTED):
        assert read(shared, query, found) == read(shared, query, expected)


@given(told=told_of([*_PROFILES, *_ENDS]), together=st.booleans())
def test_nothing_is_kept_that_earlier_copies_date_before_a_deletion(
    shared: Database, told: Told, *, together: bool
) -> None:
    """Less may be kept: what was thought to be from before it is not known any more."""
    said, copies = told
    found = (play_at_once if together else play)(shared, copies)
    expected = play(shared, in_order(said))
    should_be = {
        (mailbox, at) for mailbox, times, _ in read(shared, _NAMED, expected) for at in times
    }
    for mailbox, times, _ in read(shared, _NAMED, found):
        assert {(mailbox, at) for at in times} <= should_be


def _marked(connection: Connection, email: str, minutes: int) -> None:
    mark(connection, [Marked(HASH(email), "bounced", NOW + minutes * MINUTE)])


def _holds(database: Database, email: str) -> bool:
    with database.connection() as connection:
        return any(one.lifted_at is None for one in marks_of(connection, [HASH(email)]))


@pytest.mark.parametrize("marked_first", [True, False])
@pytest.mark.parametrize("minutes", [-10, 10])
@pytest.mark.parametrize("simultaneous", [True, False])
def test_a_verification_counts_from_its_earliest_copy(
    database: Database, *, marked_first: bool, minutes: int, simultaneous: bool
) -> None:
    """A mark made between the two copies holds; one of before is lifted."""
    email = f"mark-{next(_NUMBERS)}@example.org"
    stated = NOW + 60 * MINUTE
    fields = {"email": email, "email_verified_at": (stated - MINUTE).isoformat()}
    said = Statement(*profile(1, **fields), stated, [stated + MINUTE, NOW])
    if marked_first:
        database.transaction(partial(_marked, email=email, minutes=minutes))
    if simultaneous:
        at_once(database, play(database, []), *said.copies())
    else:
        play(database, said.copies())
    if not marked_first:
        database.transaction(partial(_marked, email=email, minutes=minutes))
    assert _holds(database, email) == (minutes > 0)


def test_what_was_named_before_a_deletion_in_the_same_batch_lifts_nothing(
    database: Database,
) -> None:
    """The account that comes after it named its address later than it verified that."""
    email = f"mark-{next(_NUMBERS)}@example.org"
    database.transaction(partial(_marked, email=email, minutes=1))
    verified = (NOW + 3 * MINUTE).isoformat()
    kinds = (
        profile(1, email=email), ("accounts", DELETED),
        profile(1, email=email, email_verified_at=verified),
    )  # fmt: skip
    said = [
        Statement(*kind, NOW + minutes * MINUTE, [NOW + 99 * MINUTE])
        for kind, minutes in zip(kinds, (0, 2, 4), strict=True)
    ]
    name = play(database, [said[0].first()])
    batch = [one.first() for one in said[1:]]
    recorder = Recorder(PublishedVersions(), HASH, lambda: NOW + 99 * MINUTE)
    received = [
        Received(
            copy.topic, "/crm", copy.id,
            parse(copy.topic, json.dumps(
                copy.data | {"property": "shop.example", "account": name}).encode()),
            copy.came_in,
        )
        for copy in batch
    ]  # fmt: skip
    database.transaction(lambda connection: recorder.record(connection, received))
    assert _holds(database, email)
