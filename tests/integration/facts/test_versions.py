"""The published versions: read once each, and never one that was rolled back."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from threading import Thread
from typing import TYPE_CHECKING, Any

from reconsent.domain.policy import PolicyVersion
from reconsent.domain.received import Received
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from tests.drafts import draft
from tests.embedded_programs import wait_until

if TYPE_CHECKING:
    import pytest

    from reconsent.store.postgres import Connection, Database


def _line(length: int) -> list[PolicyVersion]:
    """Return a policy's first versions."""
    names = [None, *(f"v{number}" for number in range(1, length + 1))]
    return [draft(version=version, follows=follows) for follows, version in pairwise(names)]


def test_a_backlog_of_versions_is_validated_once_each(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty versions, each in a transaction of its own, are validated fifty times, not 1,275."""
    line = _line(50)
    validated = 0
    validate = PolicyVersion.model_validate

    def counting(document: Any) -> PolicyVersion:  # noqa: ANN401 (as in a file)
        nonlocal validated
        validated += 1
        return validate(document)

    monkeypatch.setattr(PolicyVersion, "model_validate", counting)
    versions = PublishedVersions()
    recorder = Recorder(versions, str.encode)
    for version in line:
        received = Received("policy-versions", "tests", version.version, version)
        counts = database.transaction(partial(recorder.record, received=[received]))
        assert counts.new == 1
    assert validated == len(line)
    with database.connection() as connection:
        assert versions.now(connection).by_name["campaigner"].versions == tuple(line)
    assert validated == len(line)


def test_a_version_that_was_rolled_back_is_forgotten(database: Database) -> None:
    """Versions published after one that was rolled back come without it, in their order."""
    first, second, third = _line(3)
    versions = PublishedVersions()

    def published(connection: Connection) -> list[str]:
        return [version.version for version in versions.now(connection).versions.values()]

    with database.connection() as connection:
        publish(connection, first, versions)
        connection.commit()
        publish(connection, second, versions)
        assert published(connection) == ["v1", "v2"]
        connection.rollback()
        assert published(connection) == ["v1"]
        publish(connection, second, versions)
        connection.rollback()
        publish(connection, second, PublishedVersions())
        publish(connection, third, PublishedVersions())
        assert published(connection) == ["v1", "v2", "v3"]


def test_a_publication_is_not_starved(database: Database) -> None:
    """Of transactions that rely on the versions, those that begin after a publication wait for it.

    Those that only read do not wait.
    """
    versions = PublishedVersions()
    seen: list[int] = []

    def rely(connection: Connection) -> None:
        seen.append(versions.locked(connection).newest)

    publishing = Thread(
        target=database.transaction, args=(lambda c: publish(c, _line(1)[0], versions),)
    )
    relying = Thread(target=database.transaction, args=(rely,))
    with database.connection() as first:
        rely(first)
        with database.connection() as second:
            rely(second)
            publishing.start()
            wait_until(lambda: _waiting(first) == 1)
            relying.start()
            wait_until(lambda: _waiting(first) == 2)
        with database.one_moment() as reading:
            assert versions.now(reading).newest == 0
        assert publishing.is_alive()
        assert versions.locked(first).newest == 0
    publishing.join()
    relying.join()
    assert seen == [0, 0, 1]


def _waiting(connection: Connection) -> int:
    """Count the transactions of this database that wait for a lock."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    [(number,)] = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchall()
    return int(number)
