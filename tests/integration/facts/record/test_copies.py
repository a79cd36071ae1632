"""The same statement on several ways counts from when it came in first, in any order. RULES 27."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, permutations
from typing import Any, Final, LiteralString, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.domain.signing import Signer
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database, open_database

NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
HASH: Final = Signer("secret").address_hash
_NUMBERS: Final = count()
_WAITING: Final = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Copy(NamedTuple):
    """A statement as it came in once, under an id that another copy may share."""

    topic: str
    data: dict[str, Any]
    came_in: datetime
    id: str = "1"

    def record(self, connection: Connection, account: str) -> None:
        """Record it as of an account."""
        data = self.data | {"property": "shop.example", "account": account}
        event = parse(self.topic, json.dumps(data).encode())
        received = Received(self.topic, "/crm", self.id, event, self.came_in)
        recorder = Recorder(PublishedVersions(), HASH, lambda: self.came_in)
        recorder.record(connection, [received])


class Statement(NamedTuple):
    """What is said at a time, and when each copy of it came in."""

    topic: str
    fields: dict[str, Any]
    at: datetime
    arrivals: Sequence[datetime]
    same_event: bool = True

    def copies(self) -> list[Copy]:
        """Return a copy for each arrival."""
        time_of = {"accounts": "updated_at", "collections": "collected_at"}
        data = self.fields | {time_of.get(self.topic, "decided_at"): self.at.isoformat()}
        if self.topic == "choices":
            data["evidence"] = f"signed {self.at}"
        name = json.dumps(data)
        return [
            Copy(self.topic, data, came_in, name if self.same_event else f"{number}-{name}")
            for number, came_in in enumerate(self.arrivals)
        ]

    def first(self) -> Copy:
        """Return the copy that came in first."""
        return min(self.copies(), key=lambda copy: copy.came_in)

    def counts_from(self) -> datetime:
        """Return from when the statement counts."""
        return min(self.at, *self.arrivals)


def play(database: Database, copies: Sequence[Copy]) -> str:
    """Record copies one after another as of a new account; return its name."""
    name = f"account-{next(_NUMBERS)}"
    for copy in copies:
        database.transaction(partial(copy.record, account=name))
    return name


def read(database: Database, query: LiteralString, account: str) -> list[tuple[Any, ...]]:
    """Run a query about an account."""
    with database.connection() as connection:
        return connection.execute(query, {"account": account}).fetchall()


_STANDING: Final = """
SELECT members FROM standings JOIN account_sets USING (standing_id)
JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""
_EVIDENCE: Final = """
SELECT evidence FROM consent_evidence JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s
"""
_HELD: Final = """
SELECT members FROM holdings JOIN account_sets USING (holdings_id)
JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""
_COLLECTED: Final = """
SELECT collected_at FROM collections JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s ORDER BY 1
"""
_ERASED: Final = """
SELECT erased_at FROM collection_erasures JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s ORDER BY 1
"""


def choice(answer: str) -> dict[str, Any]:
    """Return an answer about one use."""
    use = {"data_use": "marketing", "data_category": "user.contact", "recipient": "shop"}
    return {"answer": answer, "collected_under": "v1"} | use


def collection(*, erased: bool) -> dict[str, Any]:
    """Return that data was collected or erased."""
    return {"data_category": "user.contact", "collected_under": "v1", "erased": erased}


DELETED: Final = {"status": "deleted", "contact": "all"}


@pytest.fixture(name="shared", scope="module")
def _shared(make_database: Callable[[], str]) -> Iterator[Database]:
    with open_database(make_database()) as made:
        yield made


@st.composite
def _told(
    draw: st.DrawFn, kinds: Sequence[tuple[str, dict[str, Any]]]
) -> tuple[list[Statement], list[Copy]]:
    """Draw statements whose copies come in at any times, no two at the same; and any order."""
    picked = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, 3)) for _ in picked]
    arrivals, stated = (
        draw(
            st.lists(
                st.integers(first, first + 40).map(lambda minute: NOW + minute * MINUTE),
                min_size=size,
                max_size=size,
                unique=True,
            )
        )
        # Most are ahead of their time.
        for first, size in ((0, sum(sizes)), (30, len(picked)))
    )
    moments = iter(arrivals)
    said = [
        Statement(kind[0], kind[1], at, [next(moments) for _ in range(size)], draw(st.booleans()))
        for kind, at, size in zip(picked, stated, sizes, strict=True)
    ]
    copies = draw(st.permutations([copy for one in said for copy in one.copies()]))
    return said, list(copies)


def in_order(said: Sequence[Statement]) -> list[Copy]:
    """Return each statement once, as it came in first, in the order in which they count."""
    return [one.first() for one in sorted(said, key=Statement.counts_from)]


_CHOICES: Final = [("choices", choice("allow")), ("choices", choice("deny"))]


@settings(max_examples=60)
@given(told=_told(_CHOICES))
def test_choices_count_from_their_earliest_copies(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """However many there are, and whichever is read first."""
    said, copies = told
    found, expected = (play(shared, events) for events in (copies, in_order(said)))
    assert read(shared, _STANDING, found) == read(shared, _STANDING, expected)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_three_copies_of_a_yes_the_earliest_counts(
    shared: Database, order: Sequence[int]
) -> None:
    """A no said after it stands, though two copies came in after the no."""
    arrivals = [NOW + minutes * MINUTE for minutes in (0, 20, 40)]
    yes = Statement("choices", choice("allow"), NOW + 60 * MINUTE, arrivals)
    no = Statement("choices", choice("deny"), NOW + 10 * MINUTE, [NOW + 10 * MINUTE])
    name = play(shared, [*no.copies(), *(yes.copies()[number] for number in order)])
    [(members,)] = read(shared, _STANDING, name)
    assert [state for state, *_ in members] == ["ConsentWithdrawn"]


_WITH_DELETIONS: Final = [*_CHOICES, ("accounts", DELETED)]


@settings(max_examples=60)
@given(told=_told(_WITH_DELETIONS))
def test_evidence_goes_with_the_deletion(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """Also where only an earlier copy tells that the choice counts from before it."""
    said, copies = told
    found = play(shared, copies)
    deletions = [one.counts_from() for one in said if one.topic == "accounts"]
    may_stay = {
        f"signed {one.at}"
        for one in said
        if one.topic == "choices" and all(one.counts_from() > at for at in deletions)
    }
    assert {evidence for (evidence,) in read(shared, _EVIDENCE, found)} <= may_stay


_COLLECTIONS: Final = [
    ("collections", collection(erased=False)),
    ("collections", collection(erased=False)),
    ("collections", collection(erased=True)),
]


@settings(max_examples=60)
@given(told=_told(_COLLECTIONS))
def test_data_is_held_from_its_earliest_copy_and_erased_by_the_earliest(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """However many there are, and whichever is read first."""
    said, copies = told
    found, expected = (play(shared, events) for events in (copies, in_order(said)))
    for query in (_HELD, _COLLECTED, _ERASED):
        assert read(shared, query, found) == read(shared, query, expected)


def at_once(database: Database, account: str, first: Copy, second: Copy) -> None:
    """Record two copies; the second is recorded before the first is committed, or waits."""
    other = threading.Thread(
        target=lambda: database.transaction(lambda c: second.record(c, account))
    )
    with database.connection() as connection:
        first.record(connection, account)
        other.start()
        while other.is_alive() and not _waits(database):
            time.sleep(0.01)
    other.join()


def _waits(database: Database) -> bool:
    with database.connection() as connection:
        return connection.execute(_WAITING).fetchone() is not None


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("imported_first", [True, False])
@pytest.mark.parametrize("erased", [True, False])
def test_two_copies_recorded_at_once(
    database: Database, *, erased: bool, imported_first: bool, known: bool
) -> None:
    """The import's, which is not ahead of its time, and the topic's, which is."""
    stated = NOW + 60 * MINUTE
    said = Statement("collections", collection(erased=erased), stated, [stated + MINUTE, NOW])
    # Collected, or erased, between the two.
    between = NOW + MINUTE
    other = Statement("collections", collection(erased=not erased), between, [between])
    name = play(database, other.copies() if known else [])
    at_once(database, name, *(said.copies() if imported_first else reversed(said.copies())))
    if not known:
        database.transaction(lambda connection: other.first().record(connection, name))
    expected = play(database, [said.first(), other.first()])
    for query in (_HELD, _COLLECTED, _ERASED):
        assert read(database, query, name) == read(database, query, expected)


@pytest.mark.parametrize("imported_first", [True, False])
@pytest.mark.parametrize("same_event", [True, False])
def test_two_copies_of_a_choice_recorded_at_once(
    database: Database, *, same_event: bool, imported_first: bool
) -> None:
    """A no said between the two stands."""
    stated = NOW + 60 * MINUTE
    arrivals = [stated + MINUTE, NOW]
    said = Statement("choices", choice("allow"), stated, arrivals, same_event=same_event)
    no = Statement("choices", choice("deny"), NOW + MINUTE, [NOW + MINUTE])
    name = play(database, no.copies())
    at_once(database, name, *(said.copies() if imported_first else reversed(said.copies())))
    expected = play(database, [said.first(), no.first()])
    assert read(database, _STANDING, name) == read(database, _STANDING, expected)
