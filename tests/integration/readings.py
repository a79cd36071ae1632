"""The visible state of a world in the real system, as the commands and calls print it."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any

from httpx import Response

from reconsent.domain.bus import Message
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.ledger import ledger_json
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.named import named
from tests.integration.stage import TOKEN, Stage
from tests.model.steps import Permit


class Readings:
    """One world; everything on the bus is read before it is looked at."""

    def __init__(self, place: Stage) -> None:
        """Start with an empty world."""
        place.empty()
        self._stage = place
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()
        self._waiting: list[Message] = []

    def settle(self) -> None:
        """Run intake until the bus is empty."""
        self._stage.producer.send(self._waiting)
        self._waiting = []
        while self._stage.intake.work():
            pass

    def dead_letters(self) -> list[str]:
        """Return the reasons of the dead letters."""
        with self._stage.database.connection() as connection:
            rows = connection.execute("SELECT headers FROM bus_messages WHERE topic LIKE '%.dead'")
            return [dict(headers)["dead-letter-exception-message"] for (headers,) in rows]

    def permits(self, questions: Sequence[Permit]) -> list[tuple[bool, str, str | None]]:
        """Check permissions, all at the time of the last."""
        self.settle()
        self._stage.clock = questions[-1].now
        checks = [
            {
                "property": question.key[0],
                "account": question.key[1],
                "data_category": question.data_category,
                "collected_under": question.collected_under,
                "data_use": question.data_use,
                "recipient": question.recipient,
                "at": question.at.isoformat() if question.at else None,
            }
            for question in questions
        ]
        found: list[tuple[bool, str, str | None]] = []
        for start in range(0, len(checks), 10_000):
            response = self.fetch(
                self._stage.client.post(
                    "/v1/permissions",
                    json={"checks": checks[start : start + 10_000]},
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
            )
            assert response.status_code == 200, response.text
            answers = response.json()["answers"]
            found += [(a["allowed"], a["reason"], a["suppression"]) for a in answers]
        return found

    def property_notice(self, site: str, now: datetime) -> tuple[str, str] | None:
        """Return (policy, version) of the prominent notice that a site must show."""
        self.settle()
        self._stage.clock = now
        response = self.fetch(self._stage.client.get(f"/properties/{site}/notice.json"))
        if response.status_code == 204:
            return None
        found = response.json()
        return found["policy"], found["policy_version"]

    def fetch(self, request: Coroutine[Any, Any, Response]) -> Response:
        """Wait for the response to a request."""
        return self._stage.runner.run(request)

    def notices(self) -> list[dict[str, Any]]:
        """Return all notices as the command of that name prints them."""
        self.settle()
        with self._stage.database.connection() as connection:
            policies = self._versions.now(connection)
            return list(list_notices(connection, self._cohorts, policies, Filters()))

    def consents(self, site: str, account: str) -> list[dict[str, Any]]:
        """Return an account's ledger as the command of that name prints it."""
        self.settle()
        with self._stage.database.connection() as connection:
            row = connection.execute(
                "SELECT account_key FROM accounts WHERE property = %s AND account = %s",
                (site, account),
            ).fetchone()
            if row is None:
                return []
            found = read_ledgers(connection, [row[0]], self._versions.now(connection))
            return ledger_json(connection, row[0], found[row[0]]) if found else []

    def erasures(self) -> list[dict[str, Any]]:
        """Return the due erasures as the command of that name prints them."""
        self.settle()
        names = ("property", "account", "data_category", "collected_under", "reason")
        with self._stage.database.connection() as connection:
            rows = connection.execute(named("read/erasures")["to_erase"]).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]
