"""Account events on several ways count from when they came in first, in any order. RULES 27."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given

from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store.postgres import Connection, Database
from tests.integration.facts.record.copies import (
    COLLECTIONS,
    DELETED,
    HELD,
    MINUTE,
    NOW,
    Copy,
    Statement,
    at_once,
    collection,
    in_order,
    play,
    read,
    told_of,
)

_PROFILE: Final = """
SELECT status, contact, minor, name, updated_at, deleted_at, email FROM accounts
WHERE account = %(account)s
"""
_STATES: Final = """
SELECT min(since), history.status, history.contact, history.minor
FROM account_history AS history JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s
GROUP BY coalesce(history.stated_at, since), history.status, history.contact, history.minor
ORDER BY 1
"""
_KEPT: Final = """
SELECT account_statements.email, account_statements.name
FROM account_statements JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""


def profile(number: int, **fields: object) -> tuple[str, dict[str, Any]]:
    """Return what an account event says."""
    said = {"status": "active", "contact": "all", "email": f"{number}@example.org"}
    return "accounts", said | fields


_PROFILES: Final = [profile(1), profile(2, name="Ann"), profile(3, contact="none")]
_ENDS: Final = [("accounts", DELETED), profile(4, minor=True)]


@given(told=told_of([*_PROFILES, ("collections", collection(erased=False))]))
def test_the_profile_that_wins_is_the_same_in_each_order(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """Account events count from their earliest copies, with all that they say."""
    said, copies = told
    found, expected = (play(shared, events) for events in (copies, in_order(said)))
    for query in (_PROFILE, _STATES, HELD):
        assert read(shared, query, found) == read(shared, query, expected)


@given(told=told_of([*_PROFILES, *_ENDS, *COLLECTIONS]))
def test_what_was_erased_does_not_come_back(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """Nor is an account in another state after a deletion, or as a minor's, in another order."""
    said, copies = told
    found, expected = (play(shared, events) for events in (copies, in_order(said)))
    assert read(shared, _STATES, found) == read(shared, _STATES, expected)
    assert read(shared, HELD, found) == read(shared, HELD, expected)
    for (*is_now, email), (*should_be, other) in zip(
        read(shared, _PROFILE, found), read(shared, _PROFILE, expected), strict=True
    ):
        # Its details may have been erased when it was still thought to be from before a deletion.
        assert is_now[:3] + is_now[4:] == should_be[:3] + should_be[4:]
        assert email in {None, other}
        if is_now[0] == "deleted" or is_now[2]:
            assert read(shared, _KEPT, found) == []


def test_a_copy_is_known_whose_details_a_deletion_erased(shared: Database) -> None:
    """The deletion counted later at first than it does: the copies of both show its time."""
    first = Statement(*profile(1), NOW + 30 * MINUTE, [NOW + 2 * MINUTE, NOW])
    deleted = Statement("accounts", DELETED, NOW + 31 * MINUTE, [NOW + 3 * MINUTE, NOW + MINUTE])
    copies = [*first.copies(), *deleted.copies()]
    found = play(shared, [copies[0], copies[2], copies[3], copies[1]])
    [(status, *_)] = read(shared, _PROFILE, found)
    assert status == "deleted"


@pytest.mark.parametrize("between", [profile(2), ("accounts", DELETED)], ids=["said", "deleted"])
def test_what_is_stated_as_of_the_same_time_is_no_copy(
    shared: Database, between: tuple[str, dict[str, Any]]
) -> None:
    """Though of what was stated first no more than the state is known; a copy of that is one."""
    week, stated = timedelta(days=8), NOW + timedelta(days=90)
    first = Statement(*profile(1, contact="none"), stated, [NOW, NOW + 3 * week])
    second = Statement(*between, NOW + week, [NOW + week])
    other = Statement(*profile(3, contact="none"), stated, [NOW + 2 * week])
    opened, again = first.copies()
    for copies, expected in (
        ([opened, *second.copies(), again], [opened, *second.copies()]),
        ([opened, *second.copies(), *other.copies()], [*second.copies(), *other.copies()]),
    ):
        found, should_be = play(shared, copies), play(shared, expected)
        assert read(shared, _PROFILE, found) == read(shared, _PROFILE, should_be)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_unsubscribe_said_after_an_opt_in_came_in_stands(
    shared: Database, order: Sequence[int]
) -> None:
    """Though the opt-in is dated later, and one copy of it came in later."""
    stated = NOW + 60 * MINUTE
    opted_in = profile(1, opted_in_at=stated.isoformat())
    said = Statement(*opted_in, stated, [stated + MINUTE, NOW])
    name = play(shared, [Statement(*profile(2), NOW, [NOW]).first()])

    def leave(connection: Connection) -> None:
        [(key,)] = connection.execute(
            "SELECT account_key FROM accounts WHERE account = %s", [name]
        ).fetchall()
        left = Unsubscribe(
            account_key=key, notice_id=None, reason="unsubscribed", channel="page",
            occurred_at=NOW + MINUTE,
        )  # fmt: skip
        record_unsubscribes(connection, [left])

    works: list[Callable[[Connection], None]] = [leave]
    works += [partial(copy.record, account=name) for copy in said.copies()]
    for number in order:
        shared.transaction(works[number])
    found = "SELECT unsubscribed, opted_in_at FROM accounts WHERE account = %(account)s"
    assert read(shared, found, name) == [(True, NOW)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("imported_first", [True, False])
def test_two_copies_of_an_account_recorded_at_once(
    database: Database, *, imported_first: bool, known: bool
) -> None:
    """An opt-out said between the two stands."""
    stated = NOW + 60 * MINUTE
    said = Statement(*profile(1), stated, [stated + MINUTE, NOW])
    no = Statement(*profile(2, contact="none"), NOW + MINUTE, [NOW + MINUTE])
    name = play(database, no.copies() if known else [])
    at_once(database, name, *(said.copies() if imported_first else reversed(said.copies())))
    if not known:
        database.transaction(partial(no.first().record, account=name))
    expected = play(database, [said.first(), no.first()])
    for query in (_PROFILE, _STATES):
        assert read(database, query, name) == read(database, query, expected)
