"""Senders whose database breaks, and who may be presumed dead, with what is seen of their work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from typing_extensions import override

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Delivery, Mail, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.facts.read.evidence import with_evidence
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database, open_database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.scheduler import Scheduler
from tests.integration.stage import SENDER, URL, Mailbox

Json = dict[str, Any]
NEVER: Final = datetime.max.replace(tzinfo=UTC)
SIX: Final = [f"p{number}@example.org" for number in range(6)]


@dataclass(kw_only=True)
class Interrupted(Mailbox):
    """A provider that runs an action during each send: the first, then the second, and so on."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    @override
    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().send(mail, recipients)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A dispatcher with its own connections and lease."""

    database: Database
    lease: Lease
    provider: Mailbox
    dispatcher: Dispatcher

    def work(self) -> bool:
        """Run one step, ignoring an outside error; return whether there may be more."""
        try:
            return self.dispatcher.work()
        except OutsideError:
            return True

    def send_all(self) -> None:
        """Work until idle."""
        while self.work():
            pass

    def fails(self) -> None:
        """Run one step, which must raise an outside error."""
        with suppress(OutsideError):
            self.dispatcher.work()

    def look_after(self) -> None:
        """Recover the attempts of dead senders, and claim nothing."""
        self.provider.rests_until = NEVER
        self.work()
        self.provider.rests_until = None

    def lose_lease(self) -> None:
        """Lose the lease with its connection."""
        with self.database.connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM leases WHERE name = %s",
                (f"sender {self.lease.number}",),
            )

    def lapse(self) -> None:
        """Lose the lease because its time has passed; its connection is still there."""
        with self.database.connection() as connection:
            connection.execute(
                "UPDATE leases SET until = clock_timestamp() WHERE name = %s",
                (f"sender {self.lease.number}",),
            )


@contextmanager
def sending(conninfo: str, provider: Mailbox) -> Iterator[Sender]:
    """Yield a sender that uses a provider."""
    with open_database(conninfo, size=4) as database, closing(Lease(conninfo)) as lease:
        dispatcher = Dispatcher(
            database,
            lease,
            provider,
            Signer("secret of the tests"),
            public_url=URL,
            sender=SENDER,
            now=partial(datetime.now, UTC),
        )
        yield Sender(database=database, lease=lease, provider=provider, dispatcher=dispatcher)


def settle(database: Database, delivery: Delivery) -> None:
    """Settle unknown outcomes, as if the deadline had passed."""
    now = partial(datetime.now, UTC)
    scheduler = Scheduler(database, now, delivery=delivery, settle_after=timedelta())
    while scheduler.work():
        pass


def states(database: Database) -> Counter[str]:
    """Count notices by their state."""
    with database.connection() as connection:
        return Counter(state for (state,) in connection.execute("SELECT state FROM notices"))


def outcomes(database: Database) -> Counter[str]:
    """Count attempts by outcome; an open attempt has an empty one."""
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT CASE WHEN ended_at IS NULL THEN '' ELSE outcome END FROM attempts"
        )
        return Counter(outcome for (outcome,) in rows)


def proven(database: Database) -> list[Json]:
    """Return notices with their evidence, as `reconsent notices --letters` prints them."""
    with database.connection() as connection:
        policies = PublishedVersions().now(connection)
        listed = list_notices(connection, Cohorts(), policies, Filters())
        return list(with_evidence(connection, listed))


def most_often(provider: Mailbox) -> int:
    """Return the largest number of mails of one notice."""
    return max(Counter(to.notice for _, to in provider.kept).values())
