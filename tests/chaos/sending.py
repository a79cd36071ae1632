"""A round of sending: people who are due a notice, dispatchers, and mishaps."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Delivery
from reconsent.facts.read.evidence import with_evidence
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import connect, open_database
from tests.chaos.clean_run import SECRET, SENDER
from tests.chaos.database import Server
from tests.chaos.moments import MOMENTS, cut_off, watched
from tests.chaos.people import asked
from tests.chaos.services import Services
from tests.chaos.striking_sendgrid import PATIENCE, POINTS, Strike, StrikingSendGrid
from tests.forking.client import Forker

_PATIENCE: Final = 60.0
_STEP: Final = 0.02

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """What rounds of sending share: a database that is emptied, and pages for what is reported."""

    server: Server
    conninfo: str
    forker: Forker
    sendgrid: StrikingSendGrid
    webhook: str


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """What happens to a dispatcher, and when.

    `kill`: it is gone. `stop`: it sleeps, is presumed dead, and resumes when another one has done
    its work. `cut`: it loses its connections to the database. `crash`: the database does.
    """

    when: str
    how: str


MISHAPS: Final = (
    *(
        Mishap(when=when, how=how)
        for how in ("kill", "stop", "cut")
        for when in (*POINTS, *MOMENTS, "any time")
    ),
    Mishap(when="any time", how="crash"),
)


class SendingRound:
    """One round."""

    def __init__(self, place: Place, log: Path, chance: Random, delivery: Delivery) -> None:
        """Create people who are due a notice."""
        self._place = place
        self._chance = chance
        self.delivery = delivery
        self.happened: list[str] = []
        place.sendgrid.forget()
        place.server.empty(place.conninfo)
        emails = [f"p{n}@example.org" for n in range(chance.randint(20, 40))]
        self.refused = set(chance.sample(emails, chance.choice([0, 1, 2])))
        shared = [email for email in emails if email not in self.refused]
        # Some share an address: these go in different requests.
        emails += chance.sample(shared, chance.choice([0, 1, 3]))
        with open_database(place.conninfo, size=2, name="reconsent chaos") as database:
            asked(database, emails, letters=chance.choice([1, 2, 4]))
        place.sendgrid.refuse(*self.refused)
        place.sendgrid.post_events(place.webhook, otherwise=[])
        self.fates = self._report(shared) if chance.random() < 0.5 else None
        self.services = Services(place.forker, self._environment(), log)

    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self._place.conninfo,
            "MAIL_URL": "sendgrid://",
            "MAIL_FROM": SENDER,
            "SENDGRID_HOST": self._place.sendgrid.host,
            "SENDGRID_API_KEY": self._place.sendgrid.api_key,
            "RECONSENT_DELIVERY": self.delivery,
            "RECONSENT_SETTLE_AFTER": self._chance.choice(["PT0S", "PT0S", "PT1S"]),
            "RECONSENT_SECRET": SECRET,
            "RECONSENT_API_TOKEN": "a token",
        }

    def _report(self, emails: list[str]) -> dict[str, list[str]]:
        """Let the provider report: late, doubled, out of order."""
        fates: dict[str, list[str]] = {
            email: self._chance.choice(
                [
                    ["delivered"],
                    ["deferred"],
                    ["deferred", "delivered"],
                    ["delivered", "spamreport"],
                ]
            )
            for email in emails
        }
        late = self._chance.choice([0.0, 0.3, 1.0])
        self._place.sendgrid.post_events(
            self._place.webhook,
            fates=fates,
            late=(late / 2, late),
            copies=self._chance.choice([1, 2, 3]),
            batch=self._chance.choice([1000, 7]),
            shuffled=self._chance.random() < 0.5,
            seed=self._chance.randrange(1000),
        )
        return fates

    # ---------------------------------------------------------------- playing

    def play(self, first: Mishap) -> None:
        """Send everything during one or more mishaps."""
        self.services.start("scheduler")
        more = self._chance.choices(MISHAPS, k=self._chance.choice([0, 0, 1, 2]))
        if self._chance.random() < 0.4:
            self._provider_fails()
        if self._chance.random() < 0.3:
            self.services.start("dispatcher")
        for mishap in (first, *more):
            if mishap is first or not self._is_quiet():
                self._strike(mishap)
        self._ensure_dispatcher()
        self._wait_until_quiet()
        for pid in self.services.of("dispatcher"):
            self.services.leave(pid)

    def _provider_fails(self) -> None:
        """Let the provider leave some requests unanswered, having accepted them or not."""
        accept, hang_up = self._chance.random() < 0.5, self._chance.random() < 0.5
        status = 202 if accept and not hang_up else 503
        delay = self._chance.choice([0.0, 0.1])
        self._place.sendgrid.next(
            times=self._chance.choice([1, 2]), accept=accept, hang_up=hang_up, status=status,
            delay=delay,
        )  # fmt: skip
        self.happened.append(f"unanswered, {'' if accept else 'not '}accepted")

    def _strike(self, mishap: Mishap) -> None:
        """Cause a mishap when a dispatcher reaches a moment."""
        if "recovery" in mishap.when:
            # There has to be something to recover.
            self._strike(Mishap(when=self._chance.choice(POINTS[1:3]), how="kill"))
        self.happened.append(f"{mishap.how} {mishap.when}")
        if mishap.when in POINTS:
            self._strike_in_request(mishap)
        elif mishap.when in MOMENTS:
            with watched(self._place.conninfo, mishap.when) as watch:
                self._ensure_dispatcher()
                struck = self._one() if watch.wait(PATIENCE) else None
                self._act(mishap.how, struck, at_once=True)
            self._go_on(mishap.how, struck)
        else:
            self._ensure_dispatcher()
            time.sleep(self._chance.random() * 0.6)
            struck = self._one()
            self._act(mishap.how, struck, at_once=True)
            self._go_on(mishap.how, struck)

    def _strike_in_request(self, mishap: Mishap) -> None:
        """Let the provider signal the sender."""
        how = signal.SIGKILL if mishap.how == "kill" else signal.SIGSTOP
        # Whoever only sleeps is answered all the same.
        goes_on = mishap.how != "kill" or self._chance.random() < 0.3
        point: Any = mishap.when
        self._place.sendgrid.strike(Strike(point=point, signal=how, goes_on=goes_on))
        self._ensure_dispatcher()
        struck = self._place.sendgrid.struck()
        self._act(mishap.how, struck, at_once=False)
        self._go_on(mishap.how, struck)

    def _act(self, how: str, struck: int | None, *, at_once: bool) -> None:
        """Carry out a mishap, or finish the one that the provider began."""
        if struck is None:
            self.happened[-1] += " (never)"
        elif how == "kill":
            self.services.kill(struck)
        elif how == "crash":
            self._place.server.crash(self._chance.choice([signal.SIGKILL, signal.SIGINT]))
        else:
            self._cut_off(how, struck, at_once=at_once)

    def _cut_off(self, how: str, struck: int, *, at_once: bool) -> None:
        """Cut connections: a suspended dispatcher is then presumed dead."""
        with suppress(ProcessLookupError):
            if at_once and how == "stop":
                os.kill(struck, signal.SIGSTOP)
            cut_off(self._place.conninfo)
            if how == "cut":
                os.kill(struck, signal.SIGCONT)

    def _go_on(self, how: str, struck: int | None) -> None:
        """Keep a dispatcher suspended while another one works, then resume it."""
        if how != "stop" or struck is None:
            return
        self.services.start("dispatcher")
        until = time.monotonic() + self._chance.choice([0.1, 0.5, 1.5])
        while time.monotonic() < until and not self._is_quiet():
            time.sleep(_STEP)
        with suppress(ProcessLookupError):
            os.kill(struck, signal.SIGCONT)

    def _ensure_dispatcher(self) -> None:
        self.services.tend()
        if not self.services.of("dispatcher"):
            self.services.start("dispatcher")

    def _one(self) -> int:
        return self._chance.choice(self.services.of("dispatcher"))

    def _wait_until_quiet(self) -> None:
        """Wait until everything is settled and reported."""
        deadline = time.monotonic() + _PATIENCE
        while not self._is_quiet():
            assert time.monotonic() < deadline, f"no end; see {self.services.log}"
            self.services.tend()
            time.sleep(_STEP)
        if self.fates is not None:
            self._place.sendgrid.posted()

    def _is_quiet(self) -> bool:
        with suppress(OutsideError), connect(self._place.conninfo) as connection:
            [(busy,)] = connection.execute(
                "SELECT (SELECT count(*) FROM attempts WHERE ended_at IS NULL) + count(*)"
                " FROM notices WHERE state IN ('planned', 'due', 'attempting', 'unknown')"
            ).fetchall()
            return not busy
        return False

    def close(self) -> None:
        """End everything."""
        self.services.end()

    # ---------------------------------------------------------------- looking

    def accepted(self) -> Counter[str]:
        """Count how often the provider accepted each notice."""
        people = self._place.sendgrid.personalizations()
        return Counter(one["custom_args"]["reconsent_notice"] for one in people)

    def notices(self, *, not_told: bool = False) -> list[Json]:
        """Return notices as `reconsent notices --letters` prints them."""
        with connect(self._place.conninfo) as connection:
            policies = PublishedVersions().now(connection)
            filters = Filters(not_told=not_told)
            listed = list_notices(connection, Cohorts(), policies, filters)
            return list(with_evidence(connection, listed))

    def emails(self) -> dict[str, str]:
        """Return each notice's address."""
        with connect(self._place.conninfo) as connection:
            rows = connection.execute(
                "SELECT notice_id::text, email"
                " FROM notices JOIN accounts USING (bucket, account_key)"
            )
            return dict(rows.fetchall())
