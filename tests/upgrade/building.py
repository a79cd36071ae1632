"""Tools to build the database of before: only the program's commands, pages and hooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email import message_from_bytes, policy

import httpx

from tests.acceptance.outside import answer
from tests.stand_ins.sendgrid import SendGridStandIn
from tests.stand_ins.smtp_server import MailServer
from tests.upgrade.cast import SHOP, SINCE, account, collection
from tests.upgrade.place import Json, Place, mail_json


class Building:
    """A database that is being built, the mails so far, and what the relay published."""

    def __init__(self, place: Place, sendgrid: SendGridStandIn, smtp: MailServer) -> None:
        """Begin with an empty database."""
        self.place = place
        self.mails: list[Json] = []
        self.published: list[Json] = []
        self.sendgrid = sendgrid
        self.smtp = smtp

    def link(self, property_name: str, name: str, version: str) -> str:
        """Return the choose link of somebody's last notice of a version."""
        notice = self.place.notice(property_name, name, version)
        [link] = {mail["link"] for mail in self.mails if mail["notice"] == notice}
        return self.place.world.url + httpx.URL(link).path

    def answer(
        self, property_name: str, name: str, version: str, said: Mapping[tuple[str, str], str] | str
    ) -> None:
        """Answer the question of somebody's last notice of a version."""
        answer(self.place.web, self.link(property_name, name, version), said)

    def report(self, name: str, event: str, **more: str) -> Json:
        """Return a report about somebody's mail of the shop's v3."""
        return {
            "notice": self.place.notice(SHOP, name, "v3"),
            "event": event,
            "occurred_at": SINCE,
            "provider_id": f"report of {name}",
            **more,
        }

    def people(self, property_name: str, *names: str) -> None:
        """Import accounts that hold an address."""
        self.place.take("import", "accounts", [account(property_name, name) for name in names])
        self.place.take(
            "import", "collections", [collection(property_name, name) for name in names]
        )

    def publish(self, *versions: Json) -> None:
        """Publish versions."""
        for version in versions:
            self.place.emitted.append(("policy-versions", [version]))
            self.place.world.run("policy", "publish", self.place.world.policy_file(version))

    def mailbox(self) -> None:
        """Note the mails in the mailbox."""
        noted = {mail["notice"] for mail in self.mails}
        found = [mail_json(mail.message) for mail in self.place.world.mails()]
        self.mails += [mail for mail in found if mail["notice"] not in noted]

    def note_sendgrid(self) -> None:
        """Note the mails that SendGrid has accepted."""
        noted = {mail["notice"] for mail in self.mails}
        for request in self.sendgrid.accepted():
            for one in request["personalizations"]:
                notice = one["custom_args"]["reconsent_notice"]
                [link] = one["substitutions"].values()
                mail = {
                    "to": one["to"][0]["email"], "notice": notice, "link": link, "one_click": None,
                    "subject": request.get("subject") or one.get("subject"),
                }  # fmt: skip
                if notice not in noted:
                    self.mails.append(mail)

    def note_smtp(self) -> None:
        """Note the mails that the mail server has taken."""
        noted = {mail["notice"] for mail in self.mails}
        found = [
            mail_json(message_from_bytes(taken.content, policy=policy.default))
            for taken in self.smtp.taken
        ]
        self.mails += [mail for mail in found if mail["notice"] not in noted]

    def until(self, done: Callable[[], bool], *services: str, mail: str | None = None) -> None:
        """Run services again and again until time has brought something."""
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.2)
            self.place.work(*services, mail=mail)

    def states(self, policy: str) -> dict[str, Json]:
        """Return the last notice of each account of a policy."""
        return {one["account"]: one for one in self.place.notices() if one["policy"] == policy}
