"""A database, the program over it, and what both the old and the new program do with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from typing import Any, Final

import httpx

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.bus import DEAD, Message
from reconsent.domain.event import TOPICS
from reconsent.facts.published.state import PublishedState
from reconsent.facts.sets import Cohorts
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import connect, open_database
from reconsent.workers import dead_letter_relay
from reconsent.workers.dead_letter_relay import DeadLetterRelay
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.acceptance.outside import API_TOKEN, World
from tests.stand_ins.sendgrid_webhook import Signing
from tests.upgrade.cast import PUBLIC_URL, SECRET

Json = dict[str, Any]
SMALL_PAGE: Final = 7


class Others:
    """The other side of the relay: it keeps every message."""

    def __init__(self) -> None:
        """Start without messages."""
        self.read: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        """Keep messages."""
        self.read += messages

    def close(self) -> None:
        """Do nothing."""


@dataclass(kw_only=True)
class Place:
    """The program, its pages and its database."""

    world: World
    conninfo: str
    web: httpx.Client
    emitted: list[tuple[str, list[Json]]] = field(default_factory=list)
    """All events so far, in order."""

    # ---------------------------------------------------------------- events

    def take(self, verb: str, topic: str, events: Iterable[Json]) -> Json:
        """Import or emit events, and keep them so that they can be emitted again."""
        rows = list(events)
        self.emitted.append((topic, rows))
        return self.world.take(verb, topic, rows)

    def work(self, *services: str, mail: str | None = None) -> None:
        """Run services until they are idle; with this MAIL_URL, or with the mailbox."""
        names = services or ("intake", "planner", "dispatcher", "scheduler")
        changed = {"MAIL_URL": mail} if mail else {}
        self.world.run("run", *names, "--until-idle", environment=changed)

    # ---------------------------------------------------------------- readings

    def notices(self, *options: str) -> list[Json]:
        """List notices."""
        return self.world.run("notices", "--json", *options).ndjson

    def notice(self, property_name: str, account: str, version: str) -> str:
        """Return the id of the last notice of an account and a version."""
        wanted = ("--property", property_name, "--account", account, "--policy-version", version)
        return str(self.notices(*wanted)[-1]["notice"])

    def story(self, property_name: str, account: str) -> Json | None:
        """Return everything about an account, as `explain` prints it; None if it is not known."""
        response = self.web.get(
            httpx.URL(self.world.url).copy_with(path=f"/v1/accounts/{property_name}/{account}"),
            headers={"Authorization": f"Bearer {API_TOKEN}"},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        assert response.is_success, response.text
        return dict(response.json())

    # ---------------------------------------------------------------- the relay

    def publish(self) -> list[Json]:
        """Let the relay publish what it has not; return the messages.

        The topics are a list here, because the embedded bus has none for others.
        """
        others = Others()
        with open_database(self.conninfo, size=2) as database:
            relays = [
                Relay(
                    database,
                    outlet,
                    SoleRight(self.conninfo, f"relay {outlet.topic}"),
                    lambda: others,
                    source=PUBLIC_URL,
                    now=lambda: datetime.now(UTC),
                    page=SMALL_PAGE,
                )
                for outlet in outlets(PublishedState(Cohorts()))
            ]
            consume = partial(
                PostgresConsumer,
                partial(connect, self.conninfo, autocommit=True),
                dead_letter_relay.GROUP,
                [topic + DEAD for topic in TOPICS],
            )
            letters = DeadLetterRelay(database, consume, others, patience=0)
            try:
                run_until_idle([*relays, letters])
            finally:
                for relay in (*relays, letters):
                    relay.close()
        return [
            {
                "topic": message.topic,
                "key": (message.key or b"").decode(),
                "id": dict(message.headers).get("ce_id", b"").decode(),
                "value": json.loads(message.value) if message.value else None,
            }
            for message in others.read
        ]


def for_others(conninfo: str) -> str:
    """Return a conninfo of the embedded server that other processes can use as well."""
    return conninfo.replace("/proc/self/", f"/proc/{os.getpid()}/")


def mail_json(message: EmailMessage) -> Json:
    """Return what matters of a mail: who, which notice, and its links."""
    body = message.get_body(("plain",))
    assert body is not None
    words = str(body.get_content()).split()
    links = [word.strip("<>()") for word in words if word.strip("<>()").startswith(PUBLIC_URL)]
    personal = sorted({link for link in links if "/c/" in link or "/u/" in link})
    return {
        "to": message["To"].addresses[0].addr_spec,
        "notice": str(message["X-Reconsent-Notice"]),
        "subject": str(message["Subject"]),
        "link": personal[0] if personal else None,
        "one_click": str(message["List-Unsubscribe"] or "").strip("<>") or None,
    }


def settings() -> dict[str, str]:
    """Return the settings that the fixture depends on."""
    return {
        "RECONSENT_SECRET": SECRET,
        "RECONSENT_API_TOKEN": API_TOKEN,
        "PUBLIC_URL": PUBLIC_URL,
        # Nothing may depend on when the fixture was made.
        "RECONSENT_SETTLE_AFTER": "P90Y",
        "MAIL_FROM": "Privacy <privacy@shop.example>",
    }


def upgrade(world: World, conninfo: str, signing: Signing) -> None:
    """Set up the program over a database of before, and migrate it."""
    key = {"SENDGRID_WEBHOOK_KEY": signing.public_key}
    world.environment |= (
        settings() | key | {"DATABASE_URL": conninfo, "RECONSENT_HOSTS": "127.0.0.1"}
    )
    world.run("migrate")
    assert world.run("migrate").out == "nothing to apply\n"


@contextmanager
def opened(world: World, conninfo: str) -> Iterator[Place]:
    """Serve the pages over a database."""
    with world.serving() as web:
        yield Place(world=world, conninfo=conninfo, web=web)
