"""Intake of unusual events."""

from __future__ import annotations

import logging
from datetime import timedelta

import psycopg
import pytest

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import pack
from reconsent.store.postgres import Database
from tests.integration.workers.intaking import (
    ACCOUNT,
    NOW,
    account,
    accounts,
    dead_letters,
    drain,
    event,
    intake,
    send,
)

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
