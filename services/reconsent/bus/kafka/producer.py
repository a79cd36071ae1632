"""Send messages to Apache Kafka topics."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import kafka  # type: ignore[import-untyped]
from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped]

from reconsent.bus.kafka.client import REQUEST_MS, open_client
from reconsent.bus.kafka.errors import in_one_line, outside
from reconsent.bus.kafka.message import check_size
from reconsent.bus.kafka.partitioner import KeyPartitioner
from reconsent.bus.kafka.topics import administration, require
from reconsent.domain.topics import LARGEST_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.bus import Message

_SEND_SECONDS: Final = 30.0


class KafkaProducer:
    """Sends messages to the bus; the key alone determines the partition.

    Of producers with the same `sole` name only the newest may write: the broker fences the others,
    including their messages in flight. Each `send` of such a producer is a transaction.
    """

    def __init__(self, settings: KafkaSettings, *, sole: str | None = None) -> None:
        self._settings = settings
        self._sole = sole and settings.topic_prefix + sole
        self._client: Any = None
        self._known: set[str] = set()

    def send(self, messages: Sequence[Message]) -> None:
        """Send all messages; on return they are durable. Messages of one key stay in order.

        Raises BadInputError for a message that Kafka cannot hold, before any is sent.
        """
        if not messages:
            return
        for message in messages:
            check_size(message)
        try:
            with in_one_line(self._settings):
                self._require({message.topic for message in messages})
                self._send(messages)
        except BaseException:
            # A message in flight might otherwise be delivered after its retry.
            self.close()
            raise

    def close(self) -> None:
        """Close the client, and drop messages that have not been sent yet."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.close(timeout=0)
        except KafkaError:
            # It fails if messages are still in flight at the timeout.
            client._sender.force_close()  # noqa: SLF001 -- no public way to drop them

    def _require(self, topics: set[str]) -> None:
        unknown = topics - self._known
        if unknown:
            with administration(self._settings) as admin:
                require(admin, self._settings, sorted(unknown))
            self._known |= unknown

    def _send(self, messages: Sequence[Message]) -> None:
        if self._client is None:
            self._client = _producer(self._settings, self._sole)
        if self._sole:
            self._client.begin_transaction()
        sent = [
            self._client.send(
                self._settings.topic_prefix + message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                timestamp_ms=round(message.timestamp.timestamp() * 1000),
            )
            for message in messages
        ]
        self._client.flush(timeout=2 * _SEND_SECONDS)
        failed = [
            (message.topic, future.exception)
            for message, future in zip(messages, sent, strict=True)
            if future.failed()
        ]
        if failed:
            # One failure also fails others in flight, with a bare KafkaError; report the cause.
            topic, error = min(failed, key=lambda found: type(found[1]) is KafkaError)
            if isinstance(error, KafkaTimeoutError):
                raise error
            raise outside(self._settings, f"{topic}: {type(error).__name__}") from error
        if self._sole:
            self._commit()

    def _commit(self) -> None:
        """Commit with a timeout: the library would wait forever for an unavailable broker."""
        failed: list[BaseException] = []

        def commit() -> None:
            try:
                self._client.commit_transaction()
            except BaseException as error:  # noqa: BLE001 -- raised by the waiting thread
                failed.append(error)

        waiting = threading.Thread(target=commit, name="commit", daemon=True)
        waiting.start()
        waiting.join(_SEND_SECONDS)
        if failed:
            raise failed[0]
        if waiting.is_alive():
            raise KafkaTimeoutError("the broker did not commit the transaction in time")


def _producer(settings: KafkaSettings, sole: str | None) -> Any:  # noqa: ANN401 -- the library has no types
    made = open_client(
        kafka.KafkaProducer,
        settings,
        transactional_id=sole,
        max_block_ms=REQUEST_MS,
        request_timeout_ms=REQUEST_MS,
        delivery_timeout_ms=round(_SEND_SECONDS * 1000),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        batch_size=256 * 1024,
        linger_ms=5,
        partitioner=KeyPartitioner(),
        max_request_size=LARGEST_MESSAGE,
        metrics_enabled=False,
    )
    if sole:
        try:
            made.init_transactions()
        except BaseException:
            made.close(timeout=0)
            raise
    return made
