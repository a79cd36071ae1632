"""The pace at which a provider is handed mail, kept by all dispatchers together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.store.named import named

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection

SQL = named("sending/pace")


class Pace:
    """How many mails may leave a second over one provider; None is any number."""

    def __init__(self, provider: str, per_second: float | None) -> None:
        """Keep this pace, which is to be the same for all senders over the provider."""
        self._provider = provider
        self._per_second = per_second

    def lets_pass(self, connection: Connection, limit: int) -> int:
        """Return how many mails, up to a limit, may leave now.

        Other senders wait until the caller's transaction ends, and then see what is left.
        """
        if self._per_second is None:
            return limit
        pace = {"provider": self._provider, "per_second": self._per_second}
        connection.execute(SQL["start_pace"], pace)
        return min(limit, int(connection.execute(SQL["refill"], pace).fetchall()[0][0]))

    def spend(self, connection: Connection, mails: int) -> None:
        """Take away what is about to leave."""
        if self._per_second is not None:
            connection.execute(SQL["spend"], {"provider": self._provider, "mails": mails})
