"""Opening clients of a Kafka so that none is left behind where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.bus.kafka.settings import KafkaSettings

BOOTSTRAP_MS: Final = 10_000
REQUEST_MS: Final = 15_000
# The library's half a minute would add to each time that a broker is away for a moment.
_RECONNECT_MS: Final = 1_000


def open_client(make: Callable[..., Any], settings: KafkaSettings, **options: object) -> Any:  # noqa: ANN401
    """Make a producer, a consumer or an administration client of kafka-python.

    One that cannot be made would go on trying on a thread of its own, for ever.
    """
    begun: list[Any] = []

    def begin(**configs: object) -> Any:  # noqa: ANN401
        begun.append(KafkaNetClient(**configs))
        return begun[-1]

    try:
        return make(
            **settings.client,
            **options,
            bootstrap_timeout_ms=BOOTSTRAP_MS,
            reconnect_backoff_max_ms=_RECONNECT_MS,
            kafka_client=begin,
        )
    except BaseException:
        for client in begun:
            client.close()
        raise
