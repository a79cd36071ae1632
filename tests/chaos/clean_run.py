"""The same events on the embedded bus, without failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import Message
from reconsent.domain.mail import Mail, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.store.leases import Lease
from reconsent.store.postgres import connect, open_database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.intake import GROUP, Intake
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from tests.chaos.events import Happenings
from tests.chaos.outcome import Outcome, last_mailed, outcome

SECRET = "secret of the rounds"
SENDER = "Privacy <privacy@reconsent.test>"


class _Mailbox:
    """Accepts everything."""

    name = "mailbox"
    at_most = 1000
    together: bool = False
    repeats_safely = True
    rests_until: datetime | None = None

    def send(self, letter: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Take all of them."""
        del letter
        return [Result("accepted")] * len(recipients)


def clean_run(conninfo: str, happenings: Happenings) -> Outcome:
    """Send everything once, in order; return the outcome."""
    signer = Signer(SECRET)
    open_one = partial(connect, conninfo, autocommit=True)
    with (
        open_database(conninfo, size=2) as database,
        closing(Lease(conninfo)) as lease,
        closing(PostgresProducer(partial(connect, conninfo))) as producer,
        closing(
            Intake(
                database,
                lambda: PostgresConsumer(open_one, GROUP),
                signer.address_hash,
                patience=0,
            )
        ) as intake,
    ):
        planner = Planner(database)
        dispatcher = Dispatcher(
            database, lease, _Mailbox(), signer, public_url="http://x.test", sender=SENDER,
            now=partial(datetime.now, UTC),
        )  # fmt: skip

        def tell(messages: Sequence[Message]) -> None:
            producer.send(_coming_in_now(messages))
            run_until_idle([intake, planner, dispatcher])

        producer.send(_coming_in_now(happenings.facts))
        run_until_idle([intake])
        tell(happenings.release)
        tell(happenings.answers(last_mailed(conninfo)))
        tell(happenings.last)
    return outcome(conninfo)


def _coming_in_now(messages: Sequence[Message]) -> list[Message]:
    """Date messages as this bus would; a tombstone has no other time than its message's."""
    now = datetime.now(UTC)
    return [one if one.value is None else one._replace(timestamp=now) for one in messages]
