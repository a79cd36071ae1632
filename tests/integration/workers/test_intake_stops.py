"""A topic whose messages cannot be used is stopped; the others go on. RULES 15 for reports."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from typing_extensions import override

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.bus import Batch, Consumer, Message
from reconsent.domain.change import as_event
from reconsent.domain.cloudevents import read
from reconsent.domain.errors import StoppedError
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database, connect
from reconsent.store.stops import accept
from reconsent.workers import intake as intake_module
from reconsent.workers.intake import GROUP, TOO_MANY_DEAD
from reconsent.workers.running import run_until_idle
from reconsent.workers.stops import FIRST_PAUSE, LONGEST_PAUSE
from tests.drafts import draft
from tests.integration.workers.poisoned import (
    AHEAD,
    NOW,
    SIGNER,
    Clock,
    account,
    accounts,
    choices,
    counted,
    dead,
    denial,
    drain,
    intake,
    intake_of,
    poison,
    rows,
    send,
    stops,
)


@AHEAD
def test_a_stopped_topic_stops_no_other(
    database: Database, conninfo: str, caplog: pytest.LogCaptureFixture, *, ahead: bool
) -> None:
    """What came before its unusable messages is recorded, and so are all other topics."""
    before, after = [account("ann"), account("bo")], [account("cy")]
    send(conninfo, [*before, *poison(TOO_MANY_DEAD), *after, denial("ann")])
    with intake(database, conninfo, Clock(), ahead=ahead) as reader:
        drain(reader)
        assert (accounts(conninfo), choices(conninfo), dead(conninfo)) == (["ann", "bo"], 1, 0)
        [stop] = stops(database)
        assert (stop.topic, stop.partition, stop.accepted) == ("accounts", 0, False)
        assert "100 messages in a row cannot be used" in stop.reason
        assert "not JSON" in stop.reason
        send(conninfo, [denial("bo")])
        drain(reader)
    assert choices(conninfo) == 2
    [line] = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert "accounts: partition 0 is stopped" in line


@AHEAD
def test_fewer_are_dead_letters(database: Database, conninfo: str, *, ahead: bool) -> None:
    """Unusable messages stop nothing as long as one that can be used comes in between."""
    send(
        conninfo,
        [*poison(TOO_MANY_DEAD - 1), account("ann"), *poison(TOO_MANY_DEAD - 1), account("bo")],
    )
    with intake(database, conninfo, Clock(), ahead=ahead) as reader:
        drain(reader)
    assert (accounts(conninfo), dead(conninfo)) == (["ann", "bo"], 2 * (TOO_MANY_DEAD - 1))
    assert stops(database) == []


@AHEAD
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_stop_does_not_depend_on_batches(
    database: Database,
    conninfo: str,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    *,
    ahead: bool,
) -> None:
    """However few messages are read at a time, the topic stops, and goes on when it can."""
    monkeypatch.setattr(intake_module, "BATCH", batch)
    send(conninfo, [account("ann"), *poison(TOO_MANY_DEAD + 5), account("bo"), denial("ann")])
    clock = Clock()
    with intake(database, conninfo, clock, ahead=ahead) as reader:
        drain(reader)
        assert (accounts(conninfo), choices(conninfo)) == (["ann"], 1)
        assert dead(conninfo) < TOO_MANY_DEAD
        assert len(stops(database)) == 1
        database.transaction(partial(accept, topic="accounts"))
        clock.seconds += FIRST_PAUSE
        drain(reader)
    assert (accounts(conninfo), dead(conninfo)) == (["ann", "bo"], TOO_MANY_DEAD + 5)
    assert stops(database) == []


def test_it_is_tried_again_after_growing_pauses(database: Database, conninfo: str) -> None:
    """Each failure doubles the pause, up to a limit; the time of the first stop stays."""
    send(conninfo, poison(TOO_MANY_DEAD))
    clock = Clock()
    with intake(database, conninfo, clock) as reader:
        drain(reader)
        [first] = stops(database)
        pause = FIRST_PAUSE
        for _ in range(9):
            clock.seconds += pause - 0.1
            assert not reader.work()
            clock.seconds += 0.1
            assert reader.work()
            assert not reader.work()
            pause = min(2 * pause, LONGEST_PAUSE)
        assert stops(database) == [first]
    assert dead(conninfo) == 0


def test_it_goes_on_once_the_cause_is_repaired(
    database: Database, conninfo: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing became a dead letter, nothing is lost, and nobody has to say that it is repaired."""
    missing = draft(version="v0")
    chain = _chain(TOO_MANY_DEAD + 20)
    send(conninfo, chain)
    clock = Clock()
    with caplog.at_level(logging.INFO), intake(database, conninfo, clock) as reader:
        drain(reader)
        assert [stop.topic for stop in stops(database)] == ["policy-versions"]
        first = Message("policy-versions", b"campaigner", as_event(missing), (), NOW)
        recorder = Recorder(PublishedVersions(), SIGNER.address_hash)
        assert not database.transaction(lambda c: recorder.record(c, [read(first)])).refused
        clock.seconds += FIRST_PAUSE
        drain(reader)
        assert reader.obstacle() is None
    assert len(rows(conninfo, "SELECT 1 FROM policy_versions")) == len(chain) + 1
    assert (stops(database), dead(conninfo)) == ([], 0)
    assert "is no longer stopped" in caplog.text


@AHEAD
def test_refusals_are_counted_in_order(database: Database, conninfo: str, *, ahead: bool) -> None:
    """Those of two partitions are in a row, though their batches could be recorded at once."""
    first, second = (
        [one._replace(partition=partition) for one in _chain(TOO_MANY_DEAD - 1)]
        for partition in (0, 1)
    )
    send(conninfo, [*first, *second])
    with intake(database, conninfo, Clock(), ahead=ahead) as reader:
        drain(reader)
    [stop] = stops(database)
    assert (stop.topic, stop.partition) == ("policy-versions", 1)
    assert f"{TOO_MANY_DEAD} messages in a row cannot be used" in stop.reason
    assert dead(conninfo) == TOO_MANY_DEAD - 1


def _chain(length: int) -> list[Message]:
    """Make versions that follow one another, the first of them one that is not there."""
    versions = [draft(version=f"v{n + 1}", follows=f"v{n}") for n in range(length)]
    return [Message("policy-versions", b"campaigner", as_event(one), (), NOW) for one in versions]


def test_a_new_process_is_stopped_at_the_same_place(database: Database, conninfo: str) -> None:
    """It finds the stop recorded, and clears it when it gets past the messages."""
    send(conninfo, [*poison(TOO_MANY_DEAD), account("ann")])
    with intake(database, conninfo, Clock()) as reader:
        drain(reader)
    [first] = stops(database)
    with intake(database, conninfo, Clock()) as reader:
        drain(reader)
        assert stops(database) == [first]
    with psycopg.connect(conninfo) as connection:
        connection.execute("DELETE FROM bus_messages WHERE value = '{' AND \"offset\" > 50")
    with intake(database, conninfo, Clock()) as reader:
        drain(reader)
    assert (stops(database), accounts(conninfo), dead(conninfo)) == ([], ["ann"], 51)


def test_a_stop_ends_when_nothing_is_left_to_read(database: Database, conninfo: str) -> None:
    """Messages that are gone, by erasure or retention, keep nothing stopped."""
    send(conninfo, poison(TOO_MANY_DEAD))
    clock = Clock()
    with intake(database, conninfo, clock) as reader:
        drain(reader)
        with psycopg.connect(conninfo) as connection:
            connection.execute("DELETE FROM bus_messages")
        clock.seconds += FIRST_PAUSE
        drain(reader)
        drain(reader)
        assert reader.obstacle() is None
    assert stops(database) == []


def test_a_new_process_ends_a_stop_that_was_accepted(database: Database, conninfo: str) -> None:
    """Once nothing is left to read, nothing is stopped, whichever process stopped there."""
    send(conninfo, poison(TOO_MANY_DEAD))
    with intake(database, conninfo, Clock()) as reader:
        drain(reader)
    assert database.transaction(lambda c: accept(c, "accounts")) == 1
    with intake(database, conninfo, Clock()) as reader:
        run_until_idle([reader])
    assert (stops(database), dead(conninfo)) == ([], TOO_MANY_DEAD)


def test_a_pause_that_ends_while_others_are_awaited_clears_nothing(
    database: Database, conninfo: str
) -> None:
    """Only a topic that was read to its end without an obstacle is known to go on."""
    send(conninfo, poison(TOO_MANY_DEAD))
    clock = Clock()

    class Slow(PostgresConsumer):
        """The first pause ends while it waits."""

        @override
        def poll(
            self, limit: int, timeout: float, without: Collection[str] = frozenset()
        ) -> Batch | None:
            found = super().poll(limit, timeout, without)
            clock.seconds += FIRST_PAUSE
            return found

    def consume() -> Consumer:
        return Slow(partial(connect, conninfo, autocommit=True), GROUP)

    with intake_of(database, consume, clock) as reader:
        assert reader.work()
        assert not reader.work()
        assert [stop.topic for stop in stops(database)] == ["accounts"]


def test_until_idle_ends_with_why_a_topic_is_stopped(database: Database, conninfo: str) -> None:
    """All else is done first; then the error names the topic and the reason."""
    send(conninfo, [*poison(TOO_MANY_DEAD), denial("ann")])
    with (
        intake(database, conninfo, Clock()) as reader,
        pytest.raises(
            StoppedError, match=r"accounts: partition 0 is stopped: .*not JSON"
        ) as raised,
    ):
        run_until_idle([reader])
    assert choices(conninfo) == 1
    assert raised.value.exit_code == 3


def test_reports_that_are_not_ours_are_counted(database: Database, conninfo: str) -> None:
    """However many come, they are neither refused nor dead letters, and stop nothing."""
    reports = [
        Message(
            "mail-events",
            name.encode(),
            json.dumps(
                {"notice": name, "event": "bounced", "occurred_at": NOW.isoformat()}
            ).encode(),
            (),
            NOW,
        )
        for name in [*(str(uuid4()) for _ in range(3 * TOO_MANY_DEAD)), "somebody else's"]
    ]
    send(conninfo, reports)
    with intake(database, conninfo, Clock()) as reader:
        drain(reader)
    found = counted(database)
    assert (found.not_ours, found.stopped) == (len(reports), [])
    assert dead(conninfo) == 0
