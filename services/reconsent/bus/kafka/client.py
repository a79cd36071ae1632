"""Open Kafka clients without leaking one that fails to open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.bus.kafka.settings import KafkaSettings

BOOTSTRAP_MS: Final = 10_000
REQUEST_MS: Final = 15_000
# The library's default, 30 s, would prolong every short outage of a broker.
_RECONNECT_MS: Final = 1_000


def open_client(make: Callable[..., Any], settings: KafkaSettings, **options: object) -> Any:  # noqa: ANN401
    """Open a producer, consumer or admin client of kafka-python.

    A client that fails to open is closed: its background thread would keep retrying forever.
    """
    opened: list[Any] = []

    def open_network(**configs: object) -> Any:  # noqa: ANN401
        opened.append(KafkaNetClient(**configs))
        return opened[-1]

    try:
        return make(
            **settings.client,
            **options,
            bootstrap_timeout_ms=BOOTSTRAP_MS,
            reconnect_backoff_max_ms=_RECONNECT_MS,
            kafka_client=open_network,
        )
    except BaseException:
        for client in opened:
            client.close()
        raise
