"""What a deletion or a minority erased unread counts from when it came in. RULES 27, 28.

A clock was ahead, and the same is said again afterwards: that must not count as said afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, LiteralString

import pytest

from tests.integration.facts.record.personal_messages import Json, deleting, message
from tests.integration.informing import HOUR, SITE, Informing
from tests.integration.stage import Stage

_AHEAD: Final = timedelta(days=90)
_TIMES: Final = {
    "accounts": "updated_at", "collections": "collected_at", "choices": "decided_at",
}  # fmt: skip
_SAID: Final[dict[str, Json]] = {
    "accounts": {"status": "active", "contact": "all", "email": "zq@people.test"},
    "collections": {"data_category": "user.contact", "collected_under": "v1"},
    "choices": {"answer": "allow", "data_use": "marketing", "evidence": "a tap"},
}
_STATE: Final[LiteralString] = """
SELECT status, contact, minor, holdings.members, standings.members
FROM accounts JOIN account_sets USING (bucket, account_key)
JOIN holdings USING (holdings_id) JOIN standings USING (standing_id)
"""
_SOURCES: Final[LiteralString] = "SELECT source FROM early_statements WHERE source IS NOT NULL"


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"status": "active", "minor": True}])
@pytest.mark.parametrize("topic", _SAID)
def test_what_was_erased_unread_does_not_count_from_later(
    place: Stage, topic: str, gone: Json
) -> None:
    """Whether the first copy was read before it was erased makes no difference."""
    states = [_after_it_is_said_again(place, topic, gone, read=read) for read in (True, False)]
    assert states[0] == states[1]


def _after_it_is_said_again(place: Stage, topic: str, gone: Json, *, read: bool) -> object:
    world = Informing(place)
    world.account("ann", email="zq@people.test")
    at = {_TIMES[topic]: (place.clock + _AHEAD).isoformat()}
    said = {"property": SITE, "account": "ann"} | _SAID[topic] | at
    place.producer.send([message(place, topic, said, f"{SITE}/ann")])
    if read:
        world.pipeline.settle()
    place.clock += HOUR
    place.database.transaction(deleting(place, **gone))
    with place.database.connection() as connection:
        if gone["status"] == "deleted":
            assert connection.execute(_SOURCES).fetchall() == []
    world.pipeline.settle()
    place.clock += HOUR
    world.account("ann", contact="none", updated_at=place.clock.isoformat())
    place.clock += HOUR
    place.producer.send([message(place, topic, said, f"{SITE}/ann")])
    world.pipeline.settle()
    with place.database.connection() as connection:
        return connection.execute(_STATE).fetchall()
