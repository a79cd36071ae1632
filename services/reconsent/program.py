"""The composition root: settings -> parts -> services.

Parts that only some commands need and that are slow to import are imported where they are made:
`permit` does not have to load a web server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.config import Settings
from reconsent.domain.bus import DEAD, Consumer, Producer
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS
from reconsent.domain.mail import Provider
from reconsent.domain.signing import Signer
from reconsent.embedded.user import EmbeddedUser, join
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record.address_hashes import rehash_addresses
from reconsent.facts.record.bus_sweep import sweep_bus
from reconsent.facts.record.event_hashes import hash_events
from reconsent.facts.record.report_ids import hash_report_ids
from reconsent.facts.restores import record_lost_time, sending_held
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.maildir import Maildir
from reconsent.mail.return_path import ReturnPath
from reconsent.store import log
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.migrations import migrate
from reconsent.store.offsets import stored, take_over_idle
from reconsent.store.postgres import Connection, Database, connect, open_database
from reconsent.telemetry.log_events import SENDING_HELD
from reconsent.workers import WORKERS, dead_letter_relay
from reconsent.workers.dead_letter_relay import DeadLetterRelay
from reconsent.workers.intake import GROUP, Intake
from reconsent.workers.planner import Planner
from reconsent.workers.relay import Outlet, Relay, outlets
from reconsent.workers.running import collect_rarely
from reconsent.workers.scheduler import Scheduler
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.web.serving import Web
    from reconsent.workers.dispatcher import Dispatcher


_PATIENCE_OF_PEOPLE: Final = 2.0
_STATEMENT_SECONDS: Final = 10


def now() -> datetime:
    """Return the current time; everything else takes it as an argument."""
    return datetime.now(UTC)


class Program:
    """All parts that the settings configure, each made on first use."""

    now = staticmethod(now)

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; start nothing yet."""
        self.settings = settings
        self.signer = Signer(settings.secret)
        self.versions = PublishedVersions()
        self.cohorts = Cohorts()
        self.application = f"reconsent command {uuid4().hex[:8]}"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def conninfo(self) -> str:
        """The database's connection string. Starts the embedded server if it is not running."""
        return self.settings.database_url or self._embedded.conninfo

    @cached_property
    def _embedded(self) -> EmbeddedUser:
        return self._stack.enter_context(join(self.settings.home))

    @cached_property
    def database(self) -> Database:
        """Connections to the database, with every migration applied, and what these leave to do."""
        self.migrate()
        opened = open_database(self.conninfo, name=self.application, revive=self._revive)
        database = self._stack.enter_context(opened)
        rehash_addresses(database, self.signer.address_hash)
        hash_events(database, self.signer.address_hash)
        hash_report_ids(database, self.signer.address_hash)
        sweep_bus(database, self.signer.address_hash)
        return database

    @property
    def _revive(self) -> Callable[[], None] | None:
        """What starts the database again if it is the embedded one."""
        return None if self.settings.database_url else self._embedded.ensure

    @cached_property
    def return_path(self) -> ReturnPath | None:
        """Where bounces of mails over SMTP come back to; None if to their sender."""
        mailbox = self.settings.return_path
        return ReturnPath(mailbox, self.signer) if mailbox else None

    def migrate(self) -> list[str]:
        """Apply the pending migrations; return their names."""
        return migrate(self.conninfo)

    def producer(self) -> Producer:
        """Return a producer for the bus."""
        producer = self._producer()
        self._stack.callback(producer.close)
        return producer

    def lags(self, connection: Connection) -> dict[str, int]:
        """Count the messages of each input topic that have not been consumed yet."""
        if self.settings.kafka is None:
            return log.lag(connection, GROUP)
        from reconsent.bus.kafka import lag as kafka_lag  # noqa: PLC0415

        return kafka_lag.lag(self.settings.kafka, partial(stored, connection, GROUP), TOPICS)

    def services(self, names: Sequence[str], *, patience: float) -> list[Service]:
        """Make the named workers, in the order in which work flows through them."""
        collect_rarely()
        self.application = f"reconsent {','.join(names)} {uuid4().hex[:8]}"
        make: dict[str, Callable[[], Sequence[Service]]] = {
            "intake": lambda: [self._intake(patience)],
            "planner": lambda: [Planner(self.database)],
            "dispatcher": lambda: [self._dispatcher()],
            "scheduler": lambda: [self._scheduler()],
            "relay": lambda: self._relays(patience),
        }
        return [service for name in WORKERS if name in names for service in make[name]()]

    def web(self) -> Web:
        """Make the web server; its address is bound at once, and it serves after `start`."""
        from reconsent.facts.read.permissions import Permissions  # noqa: PLC0415
        from reconsent.mail.sendgrid.webhook import Webhook  # noqa: PLC0415
        from reconsent.web.access import Context  # noqa: PLC0415
        from reconsent.web.app import create_app  # noqa: PLC0415
        from reconsent.web.serving import Web  # noqa: PLC0415
        from reconsent.words.views import Site  # noqa: PLC0415

        key = self.settings.sendgrid.webhook_key
        cohorts = Cohorts()
        context = Context(
            database=self._database_of_web(),
            signer=self.signer,
            api_token=self.settings.api_token,
            site=Site(public_url=self.settings.public_url, contact=self.settings.contact),
            mailbox=self.settings.mailbox,
            lags=self.lags,
            now=now,
            versions=PublishedVersions(),
            cohorts=cohorts,
            permissions=Permissions(cohorts),
            sendgrid=Webhook(key) if key else None,
            hosts=self.settings.web.hosts,
            mailbox_is_open=self.settings.web.is_local,
        )
        web = Web(create_app(context), self.settings.web)
        self._stack.callback(web.close)
        return web

    def _database_of_web(self) -> Database:
        """Return connections for requests: people do not wait for other services, nor for long."""
        from reconsent.web.turns import AT_ONCE  # noqa: PLC0415

        _ = self.database  # applies the migrations
        opened = open_database(
            self.conninfo,
            size=AT_ONCE,
            name=self.application,
            revive=self._revive,
            patience=_PATIENCE_OF_PEOPLE,
            statement_seconds=_STATEMENT_SECONDS,
        )
        return self._stack.enter_context(opened)

    def _producer(self) -> Producer:
        if self.settings.kafka:
            from reconsent.bus.kafka.producer import KafkaProducer  # noqa: PLC0415

            return KafkaProducer(self.settings.kafka)
        migrate(self.conninfo)
        return PostgresProducer(lambda: connect(self.conninfo))

    def _consumer(self) -> Consumer:
        if self.settings.kafka:
            from reconsent.bus.kafka.consumer import KafkaConsumer  # noqa: PLC0415

            take_over = partial(take_over_idle, self.conninfo, GROUP)
            lost_time = partial(self.database.transaction, record_lost_time)
            return KafkaConsumer(self.settings.kafka, take_over, GROUP, lost_time=lost_time)
        return PostgresConsumer(partial(connect, self.conninfo, autocommit=True), GROUP)

    def _intake(self, patience: float) -> Intake:
        _ = self.database  # applies the migrations
        intake = Intake(
            self.database,
            self._consumer,
            self.signer.address_hash,
            patience=patience,
            now=now,
            ahead=self.settings.kafka is not None,
        )
        self._stack.callback(intake.close)
        return intake

    def _relays(self, patience: float) -> list[Service]:
        """Make the relays of all output topics. The embedded bus has only internal readers."""
        if self.settings.kafka is None:
            return []
        state = PublishedState(Cohorts())
        relays = [self._relay(self.settings.kafka, outlet) for outlet in outlets(state)]
        return [*relays, self._dead_letter_relay(patience)]

    def _relay(self, kafka: KafkaSettings, outlet: Outlet) -> Relay:
        from reconsent.bus.kafka.producer import KafkaProducer  # noqa: PLC0415

        sole = f"reconsent.workers.relay.{outlet.topic}"
        relay = Relay(
            self.database,
            outlet,
            SoleRight(self.conninfo, f"relay {outlet.topic}"),
            lambda: KafkaProducer(kafka, sole=sole),
            source=self.settings.public_url,
            now=now,
        )
        self._stack.callback(relay.close)
        return relay

    def _dead_letter_relay(self, patience: float) -> DeadLetterRelay:
        _ = self.database  # applies the migrations
        topics = [topic + DEAD for topic in TOPICS]

        def consume() -> PostgresConsumer:
            connected = partial(connect, self.conninfo, autocommit=True)
            return PostgresConsumer(connected, dead_letter_relay.GROUP, topics)

        relay = DeadLetterRelay(self.database, consume, self.producer(), patience=patience)
        self._stack.callback(relay.close)
        return relay

    def _dispatcher(self) -> Dispatcher:
        from reconsent.workers.dispatcher import Dispatcher  # noqa: PLC0415

        provider = self._provider()
        database = self.database
        if database.transaction(lambda connection: sending_held(connection, provider)):
            SENDING_HELD.log()
        lease = Lease(self.conninfo)
        self._stack.callback(lease.close)
        return Dispatcher(
            database,
            lease,
            provider,
            self.signer,
            public_url=self.settings.public_url,
            sender=self.settings.mail_from,
            information_sender=self.settings.mail_from_information,
            now=now,
            per_second=self.settings.mails_per_second,
        )

    def _scheduler(self) -> Scheduler:
        return Scheduler(
            self.database,
            now,
            delivery=self.settings.delivery,
            settle_after=self.settings.settle_after,
        )

    def _provider(self) -> Provider:
        if self.settings.mailbox:
            return Maildir(self.settings.mailbox, now)
        if self.settings.smtp:
            from reconsent.mail.smtp.provider import Smtp  # noqa: PLC0415

            provider = Smtp(self.settings.smtp, now, return_path=self.return_path)
            self._stack.callback(provider.close)
            return provider
        sendgrid = self.settings.sendgrid
        if not sendgrid.api_key:
            raise BadInputError("SENDGRID_API_KEY: is required when MAIL_URL is sendgrid://")
        from reconsent.mail.sendgrid.provider import SendGrid  # noqa: PLC0415

        return SendGrid(sendgrid.api_key, sendgrid.host, now, handling=sendgrid.handling)
