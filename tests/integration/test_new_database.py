"""The input topics, read into a new database, give what they gave at first. RULES 27, 29, 30.

Notices, mails and what was answered on pages are the database's own: they are restored with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final, LiteralString

import pytest
from hypothesis import given, settings

from tests.integration.messages import interleaved
from tests.integration.pipeline import Both, Pipeline
from tests.integration.stage import Stage, stage
from tests.model.policies import CATEGORIES, SEEDS, USES
from tests.model.steps import Publish, Record, Step, Tombstone, every_permit
from tests.model.worlds import stories

Account = tuple[str, str]

# What a deletion covers may be erased from the embedded bus before it is read.
_FACTS: Final[dict[str, LiteralString]] = {
    "accounts": """
        SELECT property, account, status, contact, minor, email, name, locale, time_zone,
               updated_at, deleted_at FROM accounts
    """,
    "history": """
        SELECT property, account, since, said.status, said.contact, said.minor, said.stated_at
        FROM account_history AS said JOIN accounts USING (bucket, account_key)
        WHERE deleted_at IS NULL OR since > deleted_at
    """,
    "collections": """
        SELECT property, account, data_category, collected_under, collected_at, source
        FROM collections JOIN accounts USING (bucket, account_key)
        WHERE deleted_at IS NULL OR collected_at > deleted_at
    """,
    "erasures": """
        SELECT property, account, data_category, collected_under, erased_at
        FROM collection_erasures JOIN accounts USING (bucket, account_key)
        WHERE deleted_at IS NULL OR erased_at > deleted_at
    """,
    "holdings": """
        SELECT property, account, members FROM holdings JOIN account_sets USING (holdings_id)
        JOIN accounts USING (bucket, account_key)
    """,
    "choices": """
        SELECT property, account, answer, data_category, collected_under, data_use, recipient,
               policy_version, channel, decided_at, consents.stated_at, event_hash, item
        FROM consents JOIN accounts USING (bucket, account_key)
    """,
    "standings": """
        SELECT property, account, members FROM standings JOIN account_sets USING (standing_id)
        JOIN accounts USING (bucket, account_key)
    """,
}
_DECIDED: Final = ("choices", "standings")
_ANSWERED_HERE: Final[LiteralString] = """
SELECT DISTINCT property, account FROM consents JOIN accounts USING (bucket, account_key)
WHERE notice_id IS NOT NULL
"""


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@settings(max_examples=settings().max_examples // 8)
@given(story=stories(rejections=True), seed=SEEDS)
def test_topics_give_a_new_database_the_same_facts(
    place: Stage, story: Sequence[Step], seed: int
) -> None:
    """Status, history, holdings, choices and permissions, of those who answered by topic only."""
    both, now = Both(place), story[-1].now
    both.play(story)
    answered = set(_rows(place, _ANSWERED_HERE))
    before = _facts(place, answered)
    questions = [
        question
        for question in every_permit(both.world, CATEGORIES, USES, now)
        if question.key not in answered
    ]
    permitted = both.real.permits(questions)
    again = Pipeline(place)
    place.clock = now
    sent = (step for step in story if isinstance(step, Publish | Record | Tombstone))
    for step in interleaved(sent, Random(seed)):
        again.take(step)
    assert again.permits(questions) == permitted
    assert _facts(place, answered) == before


def _facts(place: Stage, answered: set[Account]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is known of accounts, and what those decided that did not answer here."""
    return {
        name: sorted(
            (
                row
                for row in _rows(place, query)
                if name not in _DECIDED or (row[0], row[1]) not in answered
            ),
            key=str,
        )
        for name, query in _FACTS.items()
    }


def _rows(place: Stage, query: LiteralString) -> list[tuple[Any, ...]]:
    with place.database.connection() as connection:
        return connection.execute(query).fetchall()
