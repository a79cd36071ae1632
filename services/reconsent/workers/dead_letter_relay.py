"""Dead letters -> their topics on another bus.

They are recorded in PostgreSQL, in the transaction that moves the offset past them, so none is lost
or duplicated, and those of a deleted account can be erased. From there each is passed on at least
once; its headers say which message it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from typing_extensions import override

from reconsent.store.offsets import FencedError, advance
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.domain.bus import Consumer, Producer
    from reconsent.store.postgres import Database

GROUP: Final = "relay"
BATCH: Final = 500
PATIENCE: Final = 1.0


class DeadLetterRelay(Service):
    """Passes dead letters on from the embedded log to another bus.

    `consume` opens consumers of GROUP for the topics of dead letters in the embedded log.
    """

    name = "relay"

    def __init__(
        self,
        database: Database,
        consume: Callable[[], Consumer],
        producer: Producer,
        *,
        patience: float = PATIENCE,
    ) -> None:
        """Wait `patience` seconds for dead letters at a time."""
        self._database = database
        self._consume = consume
        self._producer = producer
        self._patience = patience
        self._consumer: Consumer | None = None

    @override
    def work(self) -> bool:
        """Pass one batch on; False where none came in time."""
        if self._consumer is None:
            self._consumer = self._consume()
        try:
            batch = self._consumer.poll(BATCH, self._patience)
            if batch is None:
                return False
            self._producer.send([letter._replace(partition=-1) for letter in batch.messages])
            self._database.transaction(lambda connection: advance(connection, GROUP, batch))
        except FencedError:
            self.close()  # another consumer has the partition: begin again at the stored offset
        except BaseException:
            self.close()
            raise
        return True

    @override
    def close(self) -> None:
        """Give the partitions back."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
