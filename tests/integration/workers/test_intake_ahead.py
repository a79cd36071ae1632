"""Batches that are recorded while the next one is fetched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from threading import Barrier, Thread
from typing import Final

import psycopg
import pytest

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.bus import Consumer, Message
from reconsent.domain.cloudevents import read
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import AccountEvent
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Connection, Database, connect, open_database
from reconsent.workers import intake as intake_module
from reconsent.workers.batches import ReadBatch
from reconsent.workers.intake import GROUP, Intake
from tests.integration.workers.intaking import (
    NOW,
    SIGNER,
    account,
    accounts,
    dead_letters,
    drain,
    intake,
    send,
)

_TWO_PARTITIONS: Final = [account("ann")._replace(partition=0), account("bo")._replace(partition=1)]
_LONGEST: Final = 60.0


def test_recording_while_fetching_gives_the_same_facts(
    make_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts and dead letters equal those of sequential batches, whatever a batch contains."""
    monkeypatch.setattr(intake_module, "BATCH", 3)
    messages = []
    for number in range(40):
        name = str(number % 7)
        at = NOW - timedelta(minutes=number * 11 % 13)
        status = ("active", "deactivated", "deleted")[number % 3]
        messages += [account(name, at=at, status=status), account("zoe")._replace(value=b"{")]
    found = []
    for ahead in (False, True):
        conninfo = make_database()
        send(conninfo, messages)
        with open_database(conninfo) as database, intake(database, conninfo, ahead=ahead) as reader:
            drain(reader)
        found.append((accounts(conninfo), sorted(dead_letters(conninfo))))
    assert found[0] == found[1]
    assert len(found[0][1]) == 40


def test_a_batch_that_cannot_be_recorded_is_read_again(
    database: Database, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised, later batches wait, and nothing is lost or doubled."""
    monkeypatch.setattr(intake_module, "BATCH", 1)
    events = [account(at=NOW - timedelta(minutes=left), email="a@b.example") for left in (2, 1, 0)]
    send(conninfo, [*events, account(at=NOW, contact="none", email="a@b.example")])
    tries, record = iter([True, False]), Intake._record  # noqa: SLF001 -- one batch

    def failing_once(self: Intake, connection: Connection, understood: ReadBatch) -> object:
        if not next(tries, True):
            raise OutsideError("the second time")
        return record(self, connection, understood)

    monkeypatch.setattr(Intake, "_record", failing_once)

    def consume() -> Consumer:
        return PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)

    with closing(Intake(database, consume, SIGNER.address_hash, patience=0, ahead=True)) as reader:
        assert reader.work()
        assert reader.work()
        with pytest.raises(OutsideError, match="the second time"):
            reader.work()
        assert accounts(conninfo) == [("ann", "active", NOW - timedelta(minutes=2))]
        drain(reader)
    assert accounts(conninfo) == [("ann", "active", NOW)]
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT contact FROM account_history ORDER BY since").fetchall()
        assert rows == [("all",)] * 3 + [("none",)]


def test_two_partitions_are_recorded_side_by_side(
    database: Database, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits until the other is being recorded too."""
    send(conninfo, _TWO_PARTITIONS)
    _meet(monkeypatch, failing=None)
    with intake(database, conninfo, ahead=True) as reader:
        drain(reader)
    assert [name for name, *_ in accounts(conninfo)] == ["ann", "bo"]


@pytest.mark.parametrize(("failing", "other"), [("ann", "bo"), ("bo", "ann")])
def test_if_one_of_two_cannot_be_recorded_the_other_is(
    database: Database, conninfo: str, monkeypatch: pytest.MonkeyPatch, failing: str, other: str
) -> None:
    """Whichever began first. What failed is read again, and nothing is doubled."""
    send(conninfo, _TWO_PARTITIONS)
    _meet(monkeypatch, failing=failing)
    with intake(database, conninfo, ahead=True) as reader:
        with pytest.raises(OutsideError, match="once"):
            drain(reader)
        assert [name for name, *_ in accounts(conninfo)] == [other]
        drain(reader)
    assert [name for name, *_ in accounts(conninfo)] == ["ann", "bo"]
    with psycopg.connect(conninfo) as connection:
        assert len(connection.execute("SELECT FROM account_history").fetchall()) == 2


def _meet(monkeypatch: pytest.MonkeyPatch, *, failing: str | None) -> None:
    """Let two batches wait for each other before they are recorded; one of them fails once."""
    meeting, record = Barrier(2), Intake._record  # noqa: SLF001 -- one batch
    left = [1, 2]

    def meet(self: Intake, connection: Connection, understood: ReadBatch) -> object:
        if left:
            left.pop()
            meeting.wait(_LONGEST)
            if failing and understood.batch.messages[0].key == f"shop.example/{failing}".encode():
                raise OutsideError("once")
        return record(self, connection, understood)

    monkeypatch.setattr(Intake, "_record", meet)


def test_closing_waits_for_what_is_being_recorded(database: Database, conninfo: str) -> None:
    """A batch that was taken is recorded when close returns."""
    send(conninfo, [account()])
    with intake(database, conninfo, ahead=True) as reader:
        assert reader.work()
    assert accounts(conninfo) == [("ann", "active", NOW)]


def test_concurrent_intakes_add_an_account_once(database: Database, conninfo: str) -> None:
    """The second one finds the account, and both events count."""
    counted = []

    def say(connection: Connection, message: Message) -> None:
        data = read(message).data
        assert isinstance(data, AccountEvent)
        counts = record_accounts(connection, [data], Policies(), SIGNER.address_hash)
        counted.append((counts.new, counts.unchanged))

    later = account(at=NOW + timedelta(minutes=1), contact="none")
    with psycopg.connect(conninfo) as first:
        say(first, account())
        second = Thread(target=database.transaction, args=(partial(say, message=later),))
        second.start()
        while not _waits(conninfo):
            pass
        first.commit()
        second.join()
    assert counted == [(1, 0), (1, 0)]
    assert accounts(conninfo) == [("ann", "active", NOW + timedelta(minutes=1))]
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT contact FROM account_history ORDER BY since").fetchall()
    assert rows == [("all",), ("none",)]


def _waits(conninfo: str) -> bool:
    """Return whether any transaction waits for a lock."""
    with psycopg.connect(conninfo) as connection:
        [(waiting,)] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchall()
        return bool(waiting)
