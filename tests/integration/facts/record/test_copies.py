"""The same statement on several ways counts from when it came in first, in any order. RULES 27."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given

from reconsent.store.postgres import Database
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

_STANDING: Final = """
SELECT members FROM standings JOIN account_sets USING (standing_id)
JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""
_EVIDENCE: Final = """
SELECT evidence FROM consent_evidence JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s
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


_CHOICES: Final = [("choices", choice("allow")), ("choices", choice("deny"))]


@given(told=told_of(_CHOICES))
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


@given(told=told_of(_WITH_DELETIONS))
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


# As an earlier release had kept it: of every entry.
_OF_BEFORE: Final = """
INSERT INTO consent_evidence (bucket, account_key, entry, evidence)
SELECT bucket, account_key, entry, to_jsonb('signed ' || coalesce(consents.stated_at, decided_at))
FROM consents JOIN accounts USING (bucket, account_key)
ON CONFLICT (bucket, account_key, entry) DO UPDATE SET evidence = excluded.evidence
"""


@given(told=told_of(_WITH_DELETIONS), others=told_of(_WITH_DELETIONS))
def test_evidence_of_before_goes_with_the_migration(
    shared: Database,
    told: tuple[Sequence[Statement], Sequence[Copy]],
    others: tuple[Sequence[Statement], Sequence[Copy]],
) -> None:
    """What counts from before a deletion, by its earliest copy; the rest stays, and others' too."""
    migration = files("reconsent.schemas").joinpath("postgres", "0049_evidence.sql").read_bytes()
    names = [play(shared, copies) for _, copies in (told, others)]
    with shared.connection() as connection:
        connection.execute(_OF_BEFORE)
        connection.execute(migration)
    for name, (said, _) in zip(names, (told, others), strict=True):
        deletions = [one.counts_from() for one in said if one.topic == "accounts"]
        stays = {
            f"signed {one.at:%Y-%m-%d %H:%M:%S}+00"
            for one in said
            if one.topic == "choices" and all(one.counts_from() > at for at in deletions)
        }
        assert {evidence for (evidence,) in read(shared, _EVIDENCE, name)} == stays


@given(told=told_of(COLLECTIONS))
def test_data_is_held_from_its_earliest_copy_and_erased_by_the_earliest(
    shared: Database, told: tuple[Sequence[Statement], Sequence[Copy]]
) -> None:
    """However many there are, and whichever is read first."""
    said, copies = told
    found, expected = (play(shared, events) for events in (copies, in_order(said)))
    for query in (HELD, _COLLECTED, _ERASED):
        assert read(shared, query, found) == read(shared, query, expected)


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
    for query in (HELD, _COLLECTED, _ERASED):
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
