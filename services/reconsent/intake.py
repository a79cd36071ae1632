"""Take events off the bus and make facts of them, exactly once.

A batch and the offset behind it move in one transaction, which also checks that the partition is
still ours. A message that cannot be read, or that the rules refuse, goes to the dead letters in
the same transaction; too many in a row stop the consumer, for then the fault is not theirs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from reconsent.adapters.bus_postgres import bury
from reconsent.adapters.offsets import FencedError, advance
from reconsent.adapters.postgres import transaction
from reconsent.domain.cloudevents import Received, read
from reconsent.domain.errors import BadInputError, OutsideError, RefusedError
from reconsent.facts.recording import Recorder
from reconsent.facts.versions import PublishedVersions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.adapters.postgres import Connection, Pool
    from reconsent.domain.bus import Batch, Consumer, Message
    from reconsent.domain.errors import ReconsentError

LOG = logging.getLogger("reconsent")
GROUP: Final = "reconsent"
BATCH: Final = 2000
PATIENCE: Final = 1.0
TOO_MANY_DEAD: Final = 100


class Intake:
    """Reads every input topic for one consumer group."""

    name = "intake"

    def __init__(
        self,
        connections: Pool,
        consume: Callable[[], Consumer],
        address_hash: Callable[[str], bytes],
        *,
        patience: float = PATIENCE,
    ) -> None:
        """Read over consumers that `consume` opens; a new one after each that was given up.

        `patience` is how many seconds to wait for messages at a time.
        """
        self._patience = patience
        self._connections = connections
        self._consume = consume
        self._recorder = Recorder(PublishedVersions(), address_hash)
        self._consumer: Consumer | None = None
        self._dead_in_a_row = 0

    def work(self) -> bool:
        """Record one batch; False where none came in time."""
        if self._consumer is None:
            self._consumer = self._consume()
        try:
            batch = self._consumer.poll(BATCH, self._patience)
            if batch is None:
                return False
            self._dead_in_a_row = transaction(self._connections, lambda c: self._record(c, batch))
        except FencedError:
            self.close()  # another one works on the partition: begin where the store stands
        except BaseException:
            self.close()
            raise
        return True

    def idle(self) -> bool:
        """Tell that nothing waits: what does, `work` finds."""
        return True

    def close(self) -> None:
        """Give the partitions back."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _record(self, connection: Connection, batch: Batch) -> int:
        """Record a batch; return how many messages in a row, up to its end, were refused."""
        advance(connection, GROUP, batch)
        readable: list[tuple[int, Received]] = []
        dead: dict[int, ReconsentError] = {}
        for position, message in enumerate(batch.messages):
            try:
                readable.append((position, read(message)))
            except BadInputError as error:
                dead[position] = error
        counts = self._recorder.record(connection, [received for _, received in readable])
        for at, why in counts.refused:
            dead[readable[at][0]] = RefusedError(why)
        for position in sorted(dead):
            LOG.warning(
                "intake: a message of %s goes to the dead letters: %s", batch.topic, dead[position]
            )
            bury(connection, batch.messages[position], GROUP, dead[position])
        return self._dead_run(batch.messages, dead)

    def _dead_run(self, messages: Sequence[Message], dead: dict[int, ReconsentError]) -> int:
        """Count dead letters in a row. Raises OutsideError when there are too many."""
        run = self._dead_in_a_row
        for position, message in enumerate(messages):
            run = run + 1 if position in dead else 0
            if run >= TOO_MANY_DEAD:
                message_text = (
                    f"{message.topic}: {run} messages in a row cannot be used, the last one "
                    f"because of {dead[position]}; stopped rather than dead-letter them all"
                )
                raise OutsideError(message_text)
        return run
