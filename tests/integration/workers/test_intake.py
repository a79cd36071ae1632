"""Intake of unusual events, and of batches recorded while the next one is fetched."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread

import psycopg
import pytest

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import DEAD, Consumer, Message
from reconsent.domain.cloudevents import pack, read
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import AccountEvent
from reconsent.domain.signing import Signer
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Connection, Database, connect, open_database
from reconsent.workers import intake as intake_module
from reconsent.workers.batches import ReadBatch
from reconsent.workers.intake import GROUP, Intake

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
ACCOUNT = {"property": "shop.example", "account": "ann"}
SIGNER = Signer("secret")


def event(topic: str, data: Mapping[str, object], name: str = "1") -> Message:
    """Make an event, sent now."""
    key = f"{data.get('property')}/{data.get('account')}".encode()
    value = json.dumps(data).encode()
    return pack(topic, value, source="urn:test", id=name, time=NOW, key=key)


def account(name: str = "ann", at: datetime = NOW, **fields: object) -> Message:
    """Make an account event."""
    data = ACCOUNT | {"account": name, "status": "active", "contact": "all"}
    return event("accounts", data | {"updated_at": at.isoformat()} | fields)


@contextmanager
def intake(
    database: Database,
    conninfo: str,
    *,
    now: Callable[[], datetime] = lambda: NOW,
    ahead: bool = False,
) -> Iterator[Intake]:
    """Yield an intake on the embedded bus that does not wait."""

    def consume() -> Consumer:
        return PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)

    made = Intake(database, consume, SIGNER.address_hash, patience=0, now=now, ahead=ahead)
    with closing(made):
        yield made


def send(conninfo: str, messages: Sequence[Message]) -> None:
    """Put messages on the bus."""
    with closing(PostgresProducer(partial(connect, conninfo))) as producer:
        producer.send(messages)


def drain(reader: Intake) -> None:
    """Take everything on the bus."""
    while reader.work():
        pass


def dead_letters(conninfo: str) -> list[tuple[str, str]]:
    """Return the topic and reason of each dead letter."""
    why = {}
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            'SELECT topic, headers FROM bus_messages WHERE topic LIKE %s ORDER BY topic, "offset"',
            (f"%{DEAD}",),
        ).fetchall()
    return [
        (topic, why["dead-letter-exception-message"])
        for topic, headers in rows
        if (why := dict(headers))
    ]


def accounts(conninfo: str) -> list[tuple[str, str, datetime | None]]:
    """Read the accounts."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT account, status, updated_at FROM accounts ORDER BY account"
        ).fetchall()


_CHOICE: dict[str, object] = {**ACCOUNT, "answer": "deny", "data_use": "marketing"}


def test_an_event_dated_ahead_counts_from_when_it_came_in(
    database: Database, conninfo: str
) -> None:
    """So it does not outrank what comes later; nothing is refused for its time."""
    far = NOW + timedelta(days=400)
    later = account(status="deactivated", at=NOW + timedelta(minutes=1))
    send(conninfo, [account(at=far), later._replace(timestamp=NOW + timedelta(minutes=1))])
    with intake(database, conninfo, now=lambda: far) as reader:
        drain(reader)
    assert accounts(conninfo) == [("ann", "deactivated", NOW + timedelta(minutes=1))]
    assert dead_letters(conninfo) == []


def test_a_deletion_from_far_ahead_counts_from_when_it_came_in(
    database: Database, conninfo: str
) -> None:
    """An account may register again afterwards."""
    far = NOW + timedelta(days=400)
    gone = pack("accounts", None, source="s", id="1", time=far, key=b"shop.example/ann")
    again = account(at=NOW + timedelta(minutes=1))
    send(
        conninfo,
        [
            account(),
            gone._replace(timestamp=NOW),
            again._replace(timestamp=NOW + timedelta(minutes=1)),
        ],
    )
    with intake(database, conninfo) as reader:
        drain(reader)
    assert accounts(conninfo) == [("ann", "active", NOW + timedelta(minutes=1))]
    assert dead_letters(conninfo) == []


_LARGE = "x" * 5_000_000


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (account()._replace(value=b'{"property": '), "not JSON: "),
        (account()._replace(value=_LARGE.encode()), "not JSON: "),
        (account(_LARGE)._replace(key=b"k"), "account: "),
        (account(status=_LARGE), "status: "),
        (account()._replace(headers=(("ce_type", b"reconsent.weather.v1"),)), "type: "),
        (account()._replace(headers=(("ce_type", b"reconsent.account.v2"),)), "type: "),
    ],
    ids=["cut off", "5 MB of no JSON", "5 MB of name", "5 MB of status", "type", "next version"],
)
def test_an_unusable_event_has_a_reason_of_one_line(
    database: Database,
    conninfo: str,
    caplog: pytest.LogCaptureFixture,
    message: Message,
    what: str,
) -> None:
    """It becomes a dead letter with all its bytes; the next event is recorded."""
    send(conninfo, [message, account("bo")])
    with caplog.at_level(logging.WARNING), intake(database, conninfo) as reader:
        drain(reader)
    [line] = [record.getMessage() for record in caplog.records]
    assert what in line
    assert "\n" not in line
    assert len(line) < 300
    [(topic, why)] = dead_letters(conninfo)
    assert topic == "accounts.dead"
    assert why in line
    with psycopg.connect(conninfo) as connection:
        kept = connection.execute("SELECT value FROM bus_messages WHERE topic = 'accounts.dead'")
        assert kept.fetchall() == [(message.value,)]
    assert [name for name, *_ in accounts(conninfo)] == ["bo"]


def test_a_large_event_is_recorded(database: Database, conninfo: str) -> None:
    """A valid event of 5 MB is recorded like any other."""
    large = {"decided_at": NOW.isoformat(), "evidence": {"text": _LARGE}}
    send(conninfo, [event("choices", _CHOICE | large), account(locale=_LARGE)])
    with intake(database, conninfo) as reader:
        drain(reader)
    assert dead_letters(conninfo) == []
    with psycopg.connect(conninfo) as connection:
        [(length,)] = connection.execute(
            "SELECT length(evidence #>> '{text}') FROM consent_evidence"
        )
        assert length == len(_LARGE)


def test_two_accounts_can_use_the_same_id(database: Database, conninfo: str) -> None:
    """A choice of one person is not taken for that of another; each is still recorded once."""
    said = [
        event(
            "choices", _CHOICE | {"account": name, "decided_at": NOW.isoformat(), "evidence": name}
        )
        for name in ("ann", "bo", "ann", "bo")
    ]
    for _ in range(2):
        send(conninfo, said)
        with intake(database, conninfo) as reader:
            drain(reader)
    assert dead_letters(conninfo) == []
    with psycopg.connect(conninfo) as connection:
        recorded = connection.execute(
            "SELECT account, evidence FROM consents JOIN accounts USING (bucket, account_key)"
            " JOIN consent_evidence USING (bucket, account_key, entry) ORDER BY account"
        ).fetchall()
    assert recorded == [("ann", "ann"), ("bo", "bo")]


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
