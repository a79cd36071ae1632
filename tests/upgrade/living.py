"""What happens after the upgrade, step by step; the old program did the same and was recorded.

Each step returns what it brought about, in words that do not depend on when it happened: times
after the dump and ids made after it are replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx

from tests.acceptance.outside import answer, opened, post
from tests.acceptance.versions import OFFERS_BY_PARTNER, OFFERS_BY_US
from tests.stand_ins.sendgrid_webhook import Signing, event
from tests.upgrade.cast import APP, C3, CLUB, S5, SHOP, address
from tests.upgrade.place import Json, Place, mail_json

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"20[2-8]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
STEPS: Final = (
    "relay",
    "work",
    "relay_again",
    "answer_an_old_link",
    "post_a_page_opened_before",
    "post_a_page_of_a_superseded_notice",
    "unsubscribe_by_an_old_mail",
    "report_by_the_webhook",
    "report_by_the_topic",
    "work_again",
    "emit_everything_again",
    "resume_the_paused_release",
    "publish_the_next_version",
    "publish_the_next_version_of_the_club",
    "settle_what_is_unknown",
    "relay_the_rest",
    "count",
)
_WEBHOOK: Final = "/hooks/sendgrid"


class Living:
    """The steps, over a database of before and the mails that were sent from it."""

    def __init__(self, place: Place, recorded: Json, signing: Signing) -> None:
        """Take what was recorded before; its form was opened then, and not posted."""
        self.place = place
        self._mails = {mail["notice"]: mail for mail in recorded["mails"]}
        self._last = {
            (one["property"], one["account"], one["policy_version"]): one["notice"]
            for one in recorded["answers"]["notices"]
        }
        self._form = recorded["form"]
        self._signing = signing
        self._seen: set[str] = set()
        self.published: list[Json] = []

    def steps(self) -> Iterator[tuple[str, Json | list[Json]]]:
        """Take all steps; yield the name of each and what it brought about."""
        for step in STEPS:
            yield step, getattr(self, step)()

    # ---------------------------------------------------------------- what services do

    def relay(self) -> list[Json]:
        """Publish what was not published before the upgrade."""
        published = self.place.publish()
        self.published += published
        without_ids = [{**message, "id": None} for message in published]
        return sorted(without_ids, key=_in_order)

    def work(self) -> Json:
        """Let each service do what was left to it."""
        self.place.work()
        return {"mailed": self._mailed(), "notices": self._notices()}

    def relay_again(self) -> list[Json]:
        """Publish what this changed."""
        return self.relay()

    def work_again(self) -> Json:
        """Find nothing but what the reports and answers brought."""
        return self.work()

    def relay_the_rest(self) -> list[Json]:
        """Publish the last values."""
        return self.relay()

    # ---------------------------------------------------------------- what people do

    def answer_an_old_link(self) -> Json:
        """Answer the question of a mail of before."""
        answer(self.place.web, self._link(SHOP, "silent", "v4"), {OFFERS_BY_US: "allow"})
        answer(self.place.web, self._link(APP, "app-silent", "v4"), "deny")
        return {"silent": self._ledger("silent"), "app": self._ledger("app-silent", APP)}

    def post_a_page_opened_before(self) -> list[Json]:
        """Post the form of a page that was opened before the upgrade."""
        link = self._link(SHOP, "open-page", "v4")
        response = self.place.web.post(link, data=self._form | {"all": "deny"})
        assert response.status_code == httpx.codes.SEE_OTHER, response.text
        return self._ledger("open-page")

    def post_a_page_of_a_superseded_notice(self) -> list[Json]:
        """Answer by the link of an earlier version's mail, which shows the question of now."""
        link = self._link(SHOP, "twin-1", "v3")
        page = opened(self.place.web, link)
        said = {OFFERS_BY_US: "deny", OFFERS_BY_PARTNER: "allow"}
        assert post(self.place.web, link, page, said).is_redirect
        return self._ledger("twin-1")

    def unsubscribe_by_an_old_mail(self) -> Json:
        """Unsubscribe by the header of a mail of before."""
        notice = self._last[SHOP, "click-later", "v4"]
        path = httpx.URL(self._mails[notice]["one_click"]).path
        response = self.place.web.post(path, content="List-Unsubscribe=One-Click")
        assert response.is_success
        return self._story("click-later")

    # ---------------------------------------------------------------- what providers report

    def report_by_the_webhook(self) -> list[Json]:
        """Report deliveries, a bounce and a complaint of mails of before."""
        reports = [
            self._report("c-quiet", "delivered"),
            self._report("c-silent", "bounce"),
            self._report("c-reported-later", "spamreport"),
        ]
        body = json.dumps(reports).encode()
        for _ in range(2):
            headers = self._signing.headers(body)
            response = self.place.web.post(_WEBHOOK, content=body, headers=headers)
            assert response.is_success, response.text
        return self._notices("--property", CLUB)

    def report_by_the_topic(self) -> list[Json]:
        """Report the same kinds by the topic."""
        for name, what in (
            ("half", "bounced"),
            ("narrow", "delivered"),
            ("m-unknown", "delivered"),
        ):
            site, version = ("mill.example", "2") if name == "m-unknown" else (SHOP, "v4")
            report = {
                "notice": self._last[site, name, version],
                "event": what,
                "occurred_at": "2026-12-01T00:00:00Z",
                "provider_id": f"later report of {name}",
            }
            self.place.take("emit", "mail-events", [report])
        self.place.work("intake")
        return [
            *self._notices("--account", "half"),
            *self._notices("--account", "narrow"),
            *self._notices("--account", "m-unknown"),
        ]

    # ---------------------------------------------------------------- what the company does

    def emit_everything_again(self) -> Json:
        """Emit every event of before again, and import what can be imported: nothing changes."""
        place = self.place
        before = place.notices()
        counts = []
        for topic in dict.fromkeys(topic for topic, _ in place.emitted):
            rows = [row for of, some in place.emitted if of == topic for row in some]
            place.world.take("emit", topic, rows)
            if topic in {"accounts", "collections", "choices"}:
                counts.append(place.world.take("import", topic, rows)["new"])
        place.work()
        letters = len(place.world.run("dead-letters", "list", "--json").ndjson)
        return {
            "new": sum(counts),
            "mailed": self._mailed(),
            "changed": [after for after in place.notices() if after not in before],
            "dead_letters": letters,
        }

    def resume_the_paused_release(self) -> list[Json]:
        """Mail what was planned while the release was paused."""
        self.place.world.run("release", "resume", "pool", "2")
        self.place.work()
        return self._mailed()

    def publish_the_next_version(self) -> Json:
        """Ask whom a new version concerns."""
        self.place.world.run("policy", "publish", self.place.world.policy_file(S5))
        return self.work()

    def publish_the_next_version_of_the_club(self) -> Json:
        """Ask whom a new version of the other policy concerns."""
        self.place.world.run("policy", "publish", self.place.world.policy_file(C3))
        return self.work()

    def settle_what_is_unknown(self) -> list[Json]:
        """Give up what no provider reported on."""
        changed = {"RECONSENT_SETTLE_AFTER": "PT0S"}
        self.place.world.run("run", "scheduler", "--until-idle", environment=changed)
        return self._notices("--property", "mill.example")

    def count(self) -> Json:
        """Count everything."""
        status = self.place.world.run("status", "--json").json
        return {name: status[name] for name in ("lags", "dead_letters", "notices", "releases")}

    # ---------------------------------------------------------------- readings

    def _link(self, site: str, name: str, version: str) -> str:
        mail = self._mails[self._last[site, name, version]]
        return self.place.world.url + httpx.URL(mail["link"]).path

    def _ledger(self, name: str, site: str = SHOP) -> list[Json]:
        return list(self._story(name, site)["consents"])

    def _story(self, name: str, site: str = SHOP) -> Json:
        story = self.place.story(site, name)
        assert story is not None
        return story

    def _report(self, name: str, what: str) -> Json:
        arguments = {"reconsent_notice": self._last[CLUB, name, "c2"]}
        return event(what, address(name), arguments, 1_796_000_000, sg_event_id=f"later {name}")

    def _notices(self, *options: str) -> list[Json]:
        return self.place.notices(*options)

    def _mailed(self) -> list[Json]:
        """Return the mails since this was asked last, by address."""
        mails = [mail_json(mail.message) for mail in self.place.world.mails()]
        new = [mail for mail in mails if mail["notice"] not in self._seen]
        self._seen |= {mail["notice"] for mail in mails}
        assert not self._mails.keys() & {mail["notice"] for mail in new}, "mailed before"
        assert len({mail["notice"] for mail in mails}) == len(mails)
        return sorted(
            (
                {
                    "to": mail["to"],
                    "notice": mail["notice"],
                    "question": "/c/" in mail["link"],
                    "one_click": mail["one_click"] is not None,
                }
                for mail in new
            ),
            key=lambda mail: (mail["to"], mail["question"]),
        )


def _in_order(message: Json) -> tuple[str, str, str]:
    """Order messages of several topics by what they are about."""
    return message["topic"], message["key"], json.dumps(message["value"], sort_keys=True)


def timeless(found: Any, names: Json, since: str) -> Any:  # noqa: ANN401 -- any JSON
    """Replace what differs whenever it happens.

    `names` has the notices by their ids: those of before keep their ids, later ones get names.
    Times later than `since`, ids of nothing known, and hashes of words are replaced.
    """
    if isinstance(found, dict):
        return {name: timeless(value, names, since) for name, value in found.items()}
    if isinstance(found, list):
        return [timeless(value, names, since) for value in found]
    if not isinstance(found, str):
        return found
    found = _HASH.sub("a hash", found)
    found = _ID.sub(lambda match: names.get(match.group(), "a new id"), found)
    return _TIME.sub(lambda match: match.group() if match.group() < since else "later", found)


def live(place: Place, recorded: Json, signing: Signing) -> tuple[Json, list[Json]]:
    """Take all steps; return what each brought about, and the published messages with their ids."""
    living = Living(place, recorded, signing)
    brought = dict(living.steps())
    known = {one["notice"]: one["notice"] for one in recorded["answers"]["notices"]}
    for one in place.notices():
        name = f"{one['property']} {one['account']} {one['policy_version']} {one['sequence']}"
        known.setdefault(one["notice"], name)
    timeless_steps = {
        step: timeless(found, known, recorded["since"]) for step, found in brought.items()
    }
    return timeless_steps, living.published
