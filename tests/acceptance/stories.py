"""Stories that run concurrently, so that many of them share one run of the services.

A story is a generator: it adds events, yields until they are processed, checks the results, and
continues. Each has a separate policy and property.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import httpx

from tests.acceptance.outside import Json, World, answer, opened, permissions
from tests.acceptance.outside_mails import Mail
from tests.acceptance.versions import EMAIL, LONG_AGO, OFFERS, V1, V2, V3

PLANNED: Final = "planned"
"""A story yields this to continue when its notices are planned but not claimed."""
MAILED: Final = "mailed"
"""A story yields this to continue when all services are idle."""

Teller = Callable[["Story"], Generator[str, None, None]]


class Stage:
    """The shared world of the stories: their pending events by topic, and the results."""

    def __init__(self, world: World, web: httpx.Client) -> None:
        """Start without events."""
        self.world = world
        self.web = web
        self.events: dict[str, list[Json | str]] = {}
        self._notices: list[Json] | None = None
        self._verb = "import"

    def add(self, topic: str, event: Json) -> None:
        """Add an event for the next run of the services."""
        self.events.setdefault(topic, []).append(event)

    def hand_over(self) -> None:
        """Import or emit the events, alternately: it must make no difference."""
        for topic, events in self.events.items():
            onto_bus = topic in {"policy-versions", "mail-events"}
            self.world.take("emit" if onto_bus else self._verb, topic, events)
        self.events = {}
        self._verb = "emit" if self._verb == "import" else "import"

    def work(self, *services: str) -> None:
        """Run services until they are idle."""
        self.world.work(*services)
        self._notices = None

    @property
    def notices(self) -> list[Json]:
        """All notices in their current state."""
        if self._notices is None:
            self._notices = self.world.run("notices", "--json").ndjson
        return self._notices

    def changed(self) -> None:
        """Discard the cached notices."""
        self._notices = None


class Story:
    """One story's part of the stage."""

    def __init__(self, stage: Stage, name: str) -> None:
        """Derive a separate policy and property from the name."""
        self.stage = stage
        self.policy = name.replace("_", "-")
        self.property = f"{self.policy}.example"

    # ---------------------------------------------------------------- events

    def publish(self, *versions: Json) -> None:
        """Publish versions, one after the other."""
        for version in versions or (V1, V2, V3):
            own = {"policy": self.policy, "properties": [self.property]}
            self.stage.add("policy-versions", version | own)

    def account(self, account: str, **changed: Any) -> None:  # noqa: ANN401 -- as in an event
        """Add an account event: active, contact all and with an address unless changed."""
        default = {
            "property": self.property,
            "account": account,
            "email": self.address(account),
            "name": f"Somebody called {account}",
            "status": "active",
            "contact": "all",
            "updated_at": LONG_AGO,
        }
        self.stage.add("accounts", default | changed)

    def collected(
        self,
        account: str,
        data: str = EMAIL,
        under: str | None = "v1",
        **changed: Any,  # noqa: ANN401 -- as in an event
    ) -> None:
        """Add a collection under a version."""
        collection = {
            "property": self.property,
            "account": account,
            "data_category": data,
            "collected_under": under,
            "collected_at": LONG_AGO,
        }
        self.stage.add("collections", collection | changed)

    def says(self, account: str, choice: str, data_use: str, **named: Any) -> None:  # noqa: ANN401 -- as in an event
        """Add a choice made outside the page."""
        event = {
            "property": self.property,
            "account": account,
            "answer": choice,
            "data_use": data_use,
            "channel": "phone",
            "decided_at": "2021-01-01T00:00:00Z",
        }
        self.stage.add("choices", event | named)

    def reports(self, account: str, event: str) -> None:
        """Add a provider's report about the account's last mail."""
        notice = self._last_mail(account).notice
        report = {"notice": notice, "event": event, "occurred_at": "2026-01-01T00:00:00Z"}
        self.stage.add("mail-events", report)

    # ---------------------------------------------------------------- results

    def address(self, account: str) -> str:
        """Return an account's default address."""
        return f"{account}@{self.policy}.test"

    def mails(self, account: str, address: str | None = None) -> list[Mail]:
        """Return the mails to an account's address."""
        return self.stage.world.mails(address or self.address(account))

    def link(self, account: str, mail: int = -1) -> str:
        """Return the choose link of one of an account's mails."""
        link = self.mails(account)[mail].link
        assert link is not None
        return link

    def notices(self, account: str) -> list[str]:
        """Return an account's notices: version, sequence, kind, state, suppression or settled."""
        return [
            " ".join(str(part) for part in parts if part is not None)
            for notice in self.stage.notices
            if (notice["property"], notice["account"]) == (self.property, account)
            for parts in [
                (
                    *(notice[name] for name in ("policy_version", "sequence", "kind", "state")),
                    notice["suppression"] or notice["settled"],
                )
            ]
        ]

    def permit(self, account: str, data_use: str = OFFERS, **named: Any) -> str:  # noqa: ANN401 -- as in a check
        """Return whether a use of the email address collected under v1 is allowed, and why."""
        check = {
            "property": self.property,
            "account": account,
            "data_category": EMAIL,
            "collected_under": "v1",
            "data_use": data_use,
        }
        [found] = permissions(self.stage.web, [check | named])
        parts = ("allowed" if found["allowed"] else "denied", found["reason"], found["suppression"])
        return " ".join(part for part in parts if part)

    def asks(self, link: str) -> set[tuple[str, str]]:
        """Return the (use, recipient) of each question on a link's page."""
        return opened(self.stage.web, link).asks

    def answers(self, link: str, answers: Mapping[tuple[str, str], str] | str) -> httpx.Response:
        """Answer on a link's page; return the receipt."""
        self.stage.changed()
        return answer(self.stage.web, link, answers)

    def ledger(self, account: str) -> list[Json]:
        """Return an account's ledger, oldest first."""
        return self.stage.world.run("consents", account, "--property", self.property).ndjson

    def _last_mail(self, account: str) -> Mail:
        return self.mails(account)[-1]


def run_all(stage: Stage, tellers: Mapping[str, Teller]) -> dict[str, Exception | None]:
    """Run stories concurrently; return the exception of each, if any."""
    faults: dict[str, Exception | None] = dict.fromkeys(tellers)
    stories = {name: teller(Story(stage, name)) for name, teller in tellers.items()}

    def resume(name: str) -> str | None:
        try:
            return next(stories[name])
        except StopIteration:
            return None
        except Exception as fault:  # noqa: BLE001 -- raised by the test of that story
            faults[name] = fault
            return None

    waiting = {name: resume(name) for name in stories}
    while any(waiting.values()):
        stage.hand_over()
        early = [name for name, until in waiting.items() if until == PLANNED]
        if early:
            stage.work("intake", "planner")
            waiting.update((name, resume(name)) for name in early)
            assert PLANNED not in waiting.values(), "a story must yield MAILED after PLANNED"
            stage.hand_over()
            stage.work("intake", "dispatcher")
        stage.work()
        waiting = {name: resume(name) for name, until in waiting.items() if until == MAILED}
    return faults
