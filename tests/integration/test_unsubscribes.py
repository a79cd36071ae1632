"""Leaving optional mail: one POST, a fact that account events do not undo, an event of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response

from reconsent.adapters.postgres import Connection, SoleRight, transaction
from reconsent.domain.bus import Message
from reconsent.domain.change import as_event
from reconsent.facts.cohorts import Cohorts
from reconsent.facts.outgoing import Outgoing
from reconsent.facts.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.relay import Relay, outlets
from reconsent.running import run_until_idle
from tests.drafts import draft, row
from tests.integration.others import Others
from tests.integration.pipeline import Pipeline
from tests.integration.stage import URL, Stage, stage
from tests.model.steps import Permit, Publish, Record

START = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SITE = "campaigner.example"
ONE_CLICK = {"content": b"List-Unsubscribe=One-Click"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Give a place to inform people from."""
    with stage(make_database()) as made:
        yield made


class Informing:
    """A site whose versions are material, and mailed to whoever opted in."""

    def __init__(self, place: Stage) -> None:
        """Nobody is known yet; the first version is published."""
        self.place = place
        self.pipeline = Pipeline(place)
        self.place.clock = START
        self.versions = 0
        self.publish()

    def account(self, account: str, at: datetime | None = None, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Say how an account is, from now or another time on."""
        known = {"status": "active", "contact": "all", "email": f"{account}@example.org"}
        self._record("accounts", account, known | fields, "updated_at", at)

    def collected(self, account: str) -> None:
        """Say that an account's address was collected under the first version."""
        data = {"data_category": "user.contact.email", "collected_under": "v1"}
        self._record("collections", account, data, "collected_at", None)

    def reported(self, notice: str, event: str, at: datetime) -> None:
        """Say on mail-events what a provider reports."""
        data = {"notice": notice, "event": event, "occurred_at": at.isoformat()}
        value = json.dumps(data).encode()
        message = Message("mail-events", notice.encode(), value, (), self.place.clock)
        self.place.producer.send([message])
        self.pipeline.settle()

    def publish(self, *more_uses: str) -> None:
        """Publish the next version, an hour later, and plan it."""
        self.place.clock += HOUR
        self.versions += 1
        made = draft(
            version=f"v{self.versions}",
            follows=f"v{self.versions - 1}" if self.versions > 1 else None,
            effective_at="2026-01-01T00:00:00Z",
            properties=[SITE],
            declares=[row("user.contact.email", "essential.service", *more_uses)],
            notice={"information_mail": "opted_in", "material": True, "reminders": ["P1D"]},
        )
        self.pipeline.take(Publish(now=self.place.clock, document=json.loads(as_event(made))))
        self.pipeline.settle()
        self.pipeline.plan()

    def send(self) -> list[str]:
        """Send what is due; return to whom."""
        before = len(self.pipeline.mailbox.kept)
        while self.pipeline.dispatcher.work():
            pass
        return sorted(to.email[0] for _, to in self.pipeline.mailbox.kept[before:])

    def informed(self) -> list[str]:
        """Publish a version, and send what comes of it; return to whom."""
        self.publish()
        return self.send()

    def link(self, account: str) -> str:
        """Return the path of the link in the last mail to an account."""
        mails = [to for _, to in self.pipeline.mailbox.kept if to.email[0] == account[0]]
        return mails[-1].link.removeprefix(URL)

    def notice(self, account: str) -> str:
        """Return the notice of the last mail to an account."""
        mails = [to for _, to in self.pipeline.mailbox.kept if to.email[0] == account[0]]
        return mails[-1].notice

    def get(self, path: str, method: str = "GET") -> Response:
        """Open a page."""
        return self.pipeline.fetch(self.place.client.request(method, path))

    def post(self, path: str, **request: Any) -> Response:  # noqa: ANN401 -- as httpx has it
        """Post to it, an hour later."""
        self.place.clock += HOUR
        answer = self.pipeline.fetch(self.place.client.post(path, **request))
        self.pipeline.plan()
        return answer

    def last(self, account: str) -> tuple[str, str | None]:
        """Return the state and the suppression of an account's last notice."""
        notices = [n for n in self.pipeline.notices() if n["account"] == account]
        return notices[-1]["state"], notices[-1]["suppression"]

    def kept(self) -> list[tuple[Any, ...]]:
        """Return who left: account, reason, channel, time."""
        with self.place.connections.connection() as connection:
            return connection.execute(
                "SELECT account, reason, channel, occurred_at FROM unsubscribes"
                " JOIN accounts USING (account_key) ORDER BY account, occurred_at, reason"
            ).fetchall()

    def unsubscribed(self, account: str) -> bool:
        """Tell whether an account gets no optional mail any more."""
        with self.place.connections.connection() as connection:
            rows = connection.execute(
                "SELECT unsubscribed FROM accounts WHERE account = %s", [account]
            )
            return bool(rows.fetchall()[0][0])

    def _record(
        self, topic: str, account: str, data: dict[str, Any], time: str, at: datetime | None
    ) -> None:
        self.place.clock += timedelta(minutes=1)
        moment = (at or self.place.clock).isoformat()
        told = {"property": SITE, "account": account, time: moment} | data
        identity = f"{topic} {account} {self.place.clock}"
        self.pipeline.take(Record(now=self.place.clock, topic=topic, data=told, identity=identity))
        self.pipeline.settle()


@pytest.fixture
def informing(place: Stage) -> Informing:
    """Give an empty world with its first version."""
    return Informing(place)


@pytest.fixture
def others(place: Stage) -> Iterator[tuple[Others, Relay]]:
    """Give those who read the topic, and what publishes it to them."""
    reading = Others([0])
    [outlet] = [one for one in outlets(Outgoing(Cohorts())) if one.topic == "unsubscribes"]
    relay = Relay(
        place.connections,
        outlet,
        SoleRight(place.database.conninfo, "relay unsubscribes"),
        lambda: reading,
        source=URL,
        now=place.now,
    )
    yield reading, relay
    relay.close()


# ---------------------------------------------------------------------- one POST


def test_one_post_stops_optional_mail(informing: Informing) -> None:
    """The next version is not mailed to who left, and goes to the others as before."""
    informing.account("ann")
    informing.account("bo")
    assert informing.informed() == ["a", "b"]
    answer = informing.post(informing.link("ann"), headers=URLENCODED, **ONE_CLICK)
    assert (answer.status_code, "You are unsubscribed" in answer.text) == (200, True)
    assert informing.informed() == ["b"]
    assert informing.last("ann") == ("suppressed", "not_opted_in")


@pytest.mark.parametrize(
    ("request_", "channel"),
    [
        (ONE_CLICK | {"headers": URLENCODED}, "one_click"),
        ({"files": {"List-Unsubscribe": (None, "One-Click")}}, "one_click"),
        ({"data": {}}, "page"),
        ({"content": b"x" * 100_000 + b"One-Click"}, "page"),
        ({"content": b"\xff\x00&=%"}, "page"),
    ],
    ids=["urlencoded", "multipart", "form", "endless", "odd"],
)
def test_whoever_posts_has_left(
    informing: Informing, request_: dict[str, Any], channel: str
) -> None:
    """In either form in which mail programs post, from the page, or whatever else is sent."""
    informing.account("ann")
    informing.informed()
    assert informing.post(informing.link("ann"), **request_).status_code == 200
    assert informing.kept() == [("ann", "unsubscribed", channel, informing.place.clock)]


def test_opening_changes_nothing(informing: Informing) -> None:
    """GET and HEAD, as often as one likes, by people and by scanners."""
    informing.account("ann")
    informing.informed()
    for method in ("GET", "HEAD", "GET"):
        assert informing.get(informing.link("ann"), method).status_code == 200
    assert informing.kept() == []
    assert informing.informed() == ["a"]


def test_again_is_the_same(informing: Informing) -> None:
    """The same answer, and the first time and way stand."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")
    first = informing.post(link)
    left_at = informing.place.clock
    assert informing.post(link, headers=URLENCODED, **ONE_CLICK).text == first.text
    assert informing.kept() == [("ann", "unsubscribed", "page", left_at)]


def test_links_that_do_not_work_are_alike(informing: Informing) -> None:
    """Unknown, altered, dead or for another purpose: 404, one page, and nothing is recorded."""
    informing.account("ann")
    informing.account("di")
    informing.account("kim")
    informing.informed()
    dead, minors = informing.link("di"), informing.link("kim")
    informing.account("di", status="deleted", email=None)
    informing.account("kim", minor=True)
    informing.account("cy")
    informing.collected("cy")
    informing.publish("marketing")
    informing.send()
    choose = informing.link("cy")
    working = informing.link("ann")
    signer = informing.place.signer
    paths = [
        dead,
        minors,
        working[:-1],
        working[:5] + ("A" if working[5] != "A" else "B") + working[6:],
        choose.replace("/c/", "/u/"),
        f"/u/{signer.token(uuid4(), 'unsubscribe')}",
        f"/u/{signer.token(UUID(informing.notice('cy')), 'unsubscribe')}",
        "/u/æ",
    ]
    pages = {
        answer.text for path in paths for answer in (informing.get(path), informing.post(path))
    }
    assert len(pages) == 1
    assert {informing.get(path).status_code for path in paths} == {404}
    assert informing.get(working.replace("/u/", "/c/")).text in pages
    assert informing.post(working.replace("/u/", "/c/"), data={"all": "allow"}).status_code == 404
    assert informing.kept() == []


# ---------------------------------------------------------------------- a fact of our own


def test_the_next_account_event_does_not_undo_it(informing: Informing) -> None:
    """The company's own list says tomorrow that all mail is wanted, as it did yesterday."""
    informing.account("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    informing.account("ann", contact="none")
    informing.account("ann", contact="all", name="Ann", email="anna@example.org")
    assert informing.informed() == []
    assert informing.last("ann") == ("suppressed", "not_opted_in")


def test_it_ends_with_a_deletion(informing: Informing) -> None:
    """An account that registers anew, under the same name, has left nothing."""
    informing.account("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    informing.account("ann", status="deleted", email=None)
    assert informing.informed() == []
    informing.account("ann")
    assert not informing.unsubscribed("ann")
    assert informing.informed() == ["a"]


def test_it_outlasts_a_deletion_dated_before_it(informing: Informing) -> None:
    """Events come in any order: a deletion that is heard of late ends only what was before it."""
    informing.account("ann")
    informing.informed()
    before = informing.place.clock
    informing.post(informing.link("ann"))
    informing.account("ann", at=before - timedelta(days=1), status="deleted", email=None)
    assert informing.unsubscribed("ann")
    assert informing.informed() == []


def test_between_planning_and_sending(informing: Informing) -> None:
    """Who leaves by an older mail while a new one waits is not mailed."""
    informing.account("ann")
    informing.informed()
    informing.publish()
    assert informing.last("ann") == ("due", None)
    informing.post(informing.link("ann"))
    assert informing.send() == []
    assert informing.last("ann") == ("suppressed", "not_opted_in")


def test_what_is_owed_is_sent_all_the_same(informing: Informing) -> None:
    """A question, its reminder and every permission are what they would be."""
    informing.account("ann")
    informing.collected("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    assert _permissions(informing) == ["declared", "undeclared"]
    informing.publish("marketing")
    assert informing.send() == ["a"]
    assert "/c/" in informing.link("ann")
    assert _permissions(informing) == ["declared", "pending"]
    informing.place.clock += timedelta(days=1)
    while informing.pipeline.scheduler.work():
        pass
    assert informing.send() == ["a"], "a reminder"


def _permissions(informing: Informing) -> list[str]:
    asked = [
        Permit(
            now=informing.place.clock,
            key=(SITE, "ann"),
            data_category="user.contact.email",
            collected_under="v1",
            data_use=data_use,
            recipient=None,
        )
        for data_use in ("essential.service", "marketing")
    ]
    return [reason for _, reason, _ in informing.pipeline.permits(asked)]


def test_times_decide_not_the_order_of_arrival(place: Stage) -> None:
    """Whichever report comes first, the same is kept."""
    found = []
    said = [("page", 2), ("one_click", 1), ("provider", 1), ("provider", 3)]
    for order in permutations(said):
        informing = Informing(place)
        informing.account("ann")
        informing.informed()
        notice = UUID(informing.notice("ann"))
        for channel, hours in order:
            left = Unsubscribe(
                notice_id=notice,
                reason="unsubscribed",
                channel=channel,  # type: ignore[arg-type]  # one of them
                occurred_at=START + hours * HOUR,
            )
            transaction(place.connections, partial(_leave, left=left))
        found.append(informing.kept())
        with place.connections.connection() as connection:
            found[-1] += connection.execute("SELECT unsubscribed_at FROM accounts").fetchall()
    assert all(kept == found[0] for kept in found)
    assert found[0] == [
        ("ann", "unsubscribed", "one_click", START + HOUR),
        (START + HOUR,),
    ]


def _leave(connection: Connection, left: Unsubscribe) -> None:
    record_unsubscribes(connection, [left])


# ---------------------------------------------------------------------- from providers, to others


def test_providers_say_it_too(informing: Informing) -> None:
    """A report on mail-events counts, about any notice; doubled it is one."""
    informing.account("ann")
    informing.informed()
    at = informing.place.clock
    for _ in range(2):
        informing.reported(informing.notice("ann"), "unsubscribed", at)
    assert informing.kept() == [("ann", "unsubscribed", "provider", at)]
    assert informing.last("ann") == ("accepted", None)
    assert informing.informed() == []
    assert informing.last("ann") == ("suppressed", "not_opted_in")


def test_a_complaint_stops_optional_mail(informing: Informing) -> None:
    """And all other mail; the account's next event does not undo it."""
    informing.account("ann")
    informing.informed()
    at = informing.place.clock
    informing.reported(informing.notice("ann"), "complained", at)
    informing.account("ann", email="anna@example.org")
    assert informing.informed() == []
    assert informing.last("ann") == ("suppressed", "bounced")
    assert informing.kept() == [("ann", "complained", "provider", at)]


def test_others_are_told(informing: Informing, others: tuple[Others, Relay]) -> None:
    """Who left, why, how and when, once each and nothing personal, also after the bus broke."""
    reading, relay = others
    for account in ("ann", "bo", "cy"):
        informing.account(account, name=f"Name of {account}")
    informing.informed()
    informing.post(informing.link("ann"))
    at = informing.place.clock
    informing.reported(informing.notice("bo"), "complained", at)
    informing.post(informing.link("ann"))
    with pytest.raises(Exception, match="the bus broke"):
        run_until_idle([relay])
    run_until_idle([relay])
    informing.publish()
    informing.account("ann", name="Ann")
    run_until_idle([relay])
    told = sorted(reading.told("unsubscribes").values())
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told == [
        (
            f"{SITE}/{account}",
            {
                "property": SITE,
                "account": account,
                "reason": reason,
                "channel": channel,
                "occurred_at": time,
            },
        )
        for account, reason, channel in (
            ("ann", "unsubscribed", "page"),
            ("bo", "complained", "provider"),
        )
    ]
    assert len(reading.read["unsubscribes"]) == 2
