"""A version was published when its event says, and no later than it came in. RULES 30."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconsent.domain.change import as_event
from reconsent.domain.cloudevents import bare
from reconsent.domain.event import parse
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database
from tests.drafts import draft, row

_THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
_LATER = _THEN + timedelta(hours=1)
_AHEAD = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "came_in", "published_at"),
    [
        (_THEN, _LATER, _THEN),
        (None, _LATER, _LATER),
        (_AHEAD, _LATER, _LATER),
        (_THEN, None, _THEN),
    ],
)
def test_a_replay_has_the_same_past(
    database: Database,
    stated: datetime | None,
    came_in: datetime | None,
    published_at: datetime,
) -> None:
    """The same version again changes nothing, whatever time it states."""
    version = draft(declares=[row("user", "essential.service")])
    versions = PublishedVersions()
    recorder = Recorder(versions, str.encode, lambda: datetime.now(UTC))
    for at in (stated, None, _THEN - timedelta(days=1)):
        value = as_event(version, at)
        event = bare("policy-versions", value, parse("policy-versions", value))
        received = [event._replace(came_in=came_in)]
        database.transaction(lambda c, received=received: recorder.record(c, received))  # type: ignore[misc]
    found = database.transaction(versions.now).published_at
    assert list(found.values()) == [published_at]


def test_nobody_publishes_ahead(database: Database) -> None:
    """Without a time of the bus's own, a version is published no later than now."""
    version = draft(declares=[row("user", "essential.service")])
    value = as_event(version, _AHEAD)
    event = bare("policy-versions", value, parse("policy-versions", value))
    versions = PublishedVersions()
    recorder = Recorder(versions, str.encode, lambda: datetime.now(UTC))
    database.transaction(lambda connection: recorder.record(connection, [event]))
    [published_at] = database.transaction(versions.now).published_at.values()
    assert published_at <= datetime.now(UTC)
