"""Events that are written as rows are staged as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconsent.domain.event import AccountEvent, CollectionEvent
from reconsent.domain.event_rows import account_rows, collection_rows
from reconsent.domain.signing import Signer
from reconsent.facts.record import collections, new_accounts
from reconsent.store.copying import copy_text
from reconsent.store.postgres import Database

_HASHED: Final = Signer("s").address_hash
_TEXTS: Final = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["\\N", "\\.", "a\tb", "\n", "\r", "\\", "\\t", "\x85", "\u2028", "\x0b", ""]),
)
_TIMES: Final = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 -- bounds
    st.just(datetime(8999, 12, 31, 23, tzinfo=UTC) + timedelta(days=1)),
)
_ACCOUNTS: Final = st.builds(
    AccountEvent.model_construct,
    property=_TEXTS,
    account=st.sampled_from(["1", "a\tb", "é"]),
    given_email=st.one_of(st.none(), st.just("a@b.example"), _TEXTS),
    name=st.one_of(st.none(), _TEXTS),
    locale=st.one_of(st.none(), _TEXTS),
    time_zone=st.one_of(st.none(), _TEXTS),
    status=st.sampled_from(["active", "deactivated", "deleted"]),
    contact=st.sampled_from(["all", "none"]),
    minor=st.booleans(),
    updated_at=_TIMES,
)
_COLLECTIONS: Final = st.builds(
    CollectionEvent.model_construct,
    property=_TEXTS,
    account=_TEXTS,
    data_category=_TEXTS,
    collected_under=st.one_of(st.none(), _TEXTS),
    source=st.sampled_from(["person", "third_party"]),
    erased=st.booleans(),
    collected_at=_TIMES,
)
_SETTINGS: Final = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


@_SETTINGS
@given(st.lists(_ACCOUNTS, max_size=5))
def test_accounts(database: Database, events: list[AccountEvent]) -> None:
    """Whatever their texts are."""
    names = [(event.property, event.account) for event in events]
    with database.connection() as connection:
        connection.execute(new_accounts.SQL["make_incoming"])
        for early in events[1:2]:
            vars(early)["stated_at"] = early.updated_at
        rows = account_rows([(at, event, event.email) for at, event in enumerate(events)], _HASHED)
        copy_text(connection, new_accounts.SQL["copy_incoming"], rows)
        found = connection.execute("SELECT * FROM incoming_accounts ORDER BY position").fetchall()
        connection.rollback()
    assert found == [
        (
            position,
            event.property,
            event.account,
            event.email,
            event.name,
            event.locale,
            event.time_zone,
            event.status,
            event.contact,
            event.minor,
            event.updated_at,
            _HASHED(event.email) if event.email else None,
            event.status != "deleted" and not event.minor and names.count(names[position]) == 1,
            event.status != "deleted" or bool(event.given_email or event.name),
            event.stated_at,
            event.verified(),
            event.opted_in(),
        )
        for position, event in enumerate(events)
    ]


@_SETTINGS
@given(st.lists(_COLLECTIONS, max_size=5))
def test_collections(database: Database, events: list[CollectionEvent]) -> None:
    """Whatever their texts are."""
    with database.connection() as connection:
        connection.execute(collections.SQL["make_incoming"])
        rows = collection_rows(list(enumerate(events)))
        copy_text(connection, collections.SQL["copy_incoming"], rows)
        found = connection.execute(
            "SELECT * FROM incoming_collections ORDER BY position"
        ).fetchall()
        connection.rollback()
    assert found == [
        (
            position,
            event.property,
            event.account,
            event.data_category,
            event.collected_under,
            event.source,
            event.erased,
            event.collected_at,
            event.stated_at,
        )
        for position, event in enumerate(events)
    ]
