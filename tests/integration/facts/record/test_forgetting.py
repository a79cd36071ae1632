"""What is left of an account after its deletion, in every column of every table."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any, Final
from uuid import UUID

import pytest

from reconsent.bus.postgres import PostgresProducer
from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import pack
from reconsent.domain.event import AccountEvent
from reconsent.domain.mail import Result
from reconsent.domain.mail_report import NOT_THE_ADDRESS
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record import forgetting
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.record.forgetting import (
    LATE_BOUNCES,
    Step,
)
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import connect
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.acceptance.forms import Page as Form
from tests.embedded_programs import wait_until
from tests.integration.informing import HOUR, SITE, START, Informing
from tests.integration.remains import found
from tests.integration.stage import URL, Stage
from tests.model.steps import Record

NAME = "Zebedee Quux"
CALLED = "recorded call 77-31"
LOCALE, ZONE = "nn-NO", "Europe/Oslo"
ACCOUNTS = ("answers", "rejected", "blocked", "late")
MARK = "zq8841"
AHEAD = START + timedelta(days=300)


@pytest.fixture
def world(place: Stage) -> Informing:
    """Give an empty world with its first version."""
    return Informing(place)


def email(account: str) -> str:
    """Return the address of an account, found by MARK and only at this account."""
    return f"{MARK}.{account}@people.test"


def hashes(place: Stage) -> list[bytes]:
    """Return the hashes of all addresses."""
    return [place.signer.address_hash(email(account)) for account in ACCOUNTS]


def reported(world: Informing, notice: str, event: str, at: datetime, reason: str) -> None:
    """Say on mail-events what a provider reports, in its words."""
    data = {"notice": notice, "event": event, "occurred_at": at.isoformat(), "reason": reason}
    message = Message(
        "mail-events", notice.encode(), json.dumps(data).encode(), (), world.place.clock
    )
    world.place.producer.send([message])
    world.pipeline.settle()


def told(world: Informing, account: str, **fields: Any) -> None:  # noqa: ANN401 -- JSON
    """Say how an account is."""
    personal: dict[str, Any] = {
        "email": email(account),
        "name": NAME,
        "locale": LOCALE,
        "time_zone": ZONE,
    }
    world.account(account, **personal, **fields)


def everything_happens(world: Informing) -> dict[str, str]:
    """Let everything happen to some accounts; return the notices of their last mails."""
    place = world.place
    for account in ACCOUNTS:
        told(world, account)
        world.collected(account)
    for topic, data in (
        ("collections", {"data_category": "user.payment", "collected_under": "v1"}),
        ("collections", {"data_category": "user.payment", "collected_under": "v1", "erased": True}),
        ("choices", {"answer": "deny", "data_use": "analytics", "evidence": {CALLED: NAME}}),
    ):
        place.clock += HOUR
        at = "decided_at" if topic == "choices" else "collected_at"
        who = {"property": SITE, "account": "answers", at: place.clock.isoformat()}
        identity = f"{MARK} {place.clock}"
        step = Record(now=place.clock, topic=topic, data=who | data, identity=identity)
        world.pipeline.take(step)
    place.producer.send(
        [saying(AHEAD, place.clock), saying(START, place.clock), saying(AHEAD, place.clock)]
    )
    unreadable = json.dumps({"email": email("answers"), "name": NAME}).encode()
    key = f"{SITE}/answers".encode()
    place.producer.send([Message("accounts", key, unreadable, (), place.clock)])
    world.pipeline.settle()
    world.informed()
    left = [to for _, to in world.pipeline.mailbox.kept if to.email == email("answers")][-1]
    world.post(left.link.removeprefix(URL), content=b"List-Unsubscribe=One-Click")
    notices = asked(world)
    publish_to_others(place)
    return notices


def saying(decided_at: datetime, now: datetime) -> Message:
    """Return a choice whose source, id and evidence say who somebody is."""
    who = {"property": SITE, "account": "answers", "decided_at": decided_at.isoformat()}
    said = who | {"answer": "allow", "data_use": "essential", "evidence": NAME}
    key = f"{SITE}/answers".encode()
    source, identity = f"urn:agents:{MARK}", f"{MARK} at {decided_at}"
    value = json.dumps(said).encode()
    return pack("choices", value, source=source, id=identity, time=now, key=key)


def asked(world: Informing) -> dict[str, str]:
    """Ask all of them; some answer, some mails are refused, bounce or are reminded of."""
    world.publish("marketing")
    due = {n["account"]: n["notice"] for n in world.pipeline.notices() if n["state"] == "due"}
    refusal = Result("rejected", f"550 <{email('rejected')}> unknown")
    world.pipeline.mailbox.answers = {UUID(due["rejected"]): refusal}
    world.send()
    clock = world.place.clock
    bounced = f"blocked? 550 <{email('blocked')}>: mailbox full"
    reported(world, due["blocked"], "bounced", clock, bounced)
    reported(world, due["answers"], "complained", clock, f"from {email('answers')}")
    mails = [to for _, to in world.pipeline.mailbox.kept if to.notice == due["answers"]]
    path = mails[-1].link.removeprefix(URL)
    form = Form.of(world.get(path).text)
    assert world.post(path, data=form.all_alike("allow")).is_redirect
    world.place.clock += timedelta(days=1)
    assert world.pipeline.scheduler.work()
    world.send()
    return due


def publish_to_others(place: Stage) -> None:
    """Publish everything on the embedded bus."""
    for outlet in outlets(PublishedState(Cohorts())):
        relay = Relay(
            place.database,
            outlet,
            SoleRight(place.conninfo, f"relay {outlet.topic}"),
            lambda: PostgresProducer(partial(connect, place.conninfo)),
            source=URL,
            now=place.now,
        )
        run_until_idle([relay])
        relay.close()


def forget_later(world: Informing) -> None:
    """Let the time of late bounces pass."""
    world.place.clock += LATE_BOUNCES + timedelta(days=1)
    while world.pipeline.scheduler.work():
        pass


_PERSONAL: Final = {
    "accounts.email",
    "accounts.locale",
    "accounts.name",
    "accounts.time_zone",
    "bus_messages.headers",
    "bus_messages.value",
    "consent_evidence.evidence",
    "early_statements.source",
    "mail_events.reason",
    "notices.reason",
}
"""The columns that have something personal before the deletion."""


def test_a_deletion_leaves_nothing_but_what_is_kept_on_purpose(
    world: Informing, place: Stage
) -> None:
    """No column of any table has name, address or evidence, nor, ten days on, the address's hash.

    What bounced stays marked by the hash of its address.
    """
    personal = (MARK, NAME, CALLED, LOCALE, ZONE)
    notices = everything_happens(world)
    assert found(place, *personal) == _PERSONAL
    assert found(place, *hashes(place)) == {
        "accounts.address_hash",
        "mailbox_marks.address_hash",
        "notices.address_hash",
    }
    for account in ACCOUNTS:
        told(world, account, status="deleted")
    assert found(place, *personal) == set()
    # Nor of what comes once more after the deletion, or only then.
    place.clock += HOUR
    place.producer.send([saying(START + HOUR, place.clock), saying(AHEAD, place.clock)])
    world.pipeline.settle()
    assert found(place, *personal) == set()
    # Reports that come late mark the address, and keep no words.
    late = place.clock + timedelta(days=3)
    quoted = f"550 <{email('late')}> unknown"
    reported(world, notices["late"], "bounced", late, quoted)
    marked = place.signer.address_hash(email("late"))
    assert found(place, marked) == {"mailbox_marks.address_hash", "notices.address_hash"}
    publish_to_others(place)
    forget_later(world)
    assert found(place, *personal) == set()
    assert found(place, *hashes(place)) == {"mailbox_marks.address_hash"}
    # A report that is even later changes nothing, and fails nothing.
    reported(world, notices["answers"], "dropped", place.clock, quoted)
    assert found(place, *personal) == set()


def test_where_the_address_is_not_to_blame_a_late_report_marks_nothing(
    world: Informing, place: Stage
) -> None:
    """Its words are not kept, but for those that say so; on the bus, too."""
    notices = everything_happens(world)
    told(world, "late", status="deleted")
    blocked = f"{NOT_THE_ADDRESS}{email('late')}"
    reported(world, notices["late"], "bounced", place.clock, blocked)
    assert found(place, email("late")) == set()
    marked = place.signer.address_hash(email("late"))
    assert found(place, marked) == {"notices.address_hash"}
    assert "mail_events.reason" in found(place, NOT_THE_ADDRESS)


def test_of_a_minor_neither_name_nor_address_is_left(world: Informing, place: Stage) -> None:
    """What stays: the hash of an address that was written to, for late bounces, and choices."""
    notices = everything_happens(world)
    for account in ACCOUNTS:
        told(world, account, minor=True)
    reported(world, notices["late"], "bounced", place.clock, f"550 <{email('late')}> unknown")
    publish_to_others(place)
    forget_later(world)
    assert found(place, f"{MARK}.") == set()
    assert found(place, LOCALE, ZONE) <= {"bus_messages.value"}
    assert found(place, *hashes(place)) == {
        "mailbox_marks.address_hash",
        "notices.address_hash",
    }


def test_a_report_that_arrives_with_the_minority_leaves_no_text(
    world: Informing, place: Stage
) -> None:
    """A report waits for the account, and then knows that its owner is a minor."""
    notices = everything_happens(world)
    place.clock += HOUR
    minor = AccountEvent(
        property=SITE,
        account="late",
        status="active",
        contact="all",
        minor=True,
        updated_at=place.clock,
    )
    text = "a text that nothing else contains"
    with place.database.connection() as recording:
        policies = PublishedVersions().now(recording)
        record_accounts(recording, [minor], policies, place.signer.address_hash)
        report = (world, notices["late"], "bounced", place.clock, text)
        reporting = Thread(target=reported, args=report)
        reporting.start()
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: recording.execute(waiting).fetchall())
    reporting.join()
    assert found(place, text) == set()


def test_reports_are_searched_once_for_each_minor(
    world: Informing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further events of a minor do not search the texts of all reports again."""
    runs: list[int] = []
    monkeypatch.setattr(
        forgetting,
        "AT_MINORITY",
        [Step(takes="", tables=(), run=lambda _, accounts, __: runs.append(len(accounts)))],
    )
    for minor in (False, True, True, False, True):
        told(world, "late", minor=minor)
    assert runs == [1, 1]
