"""What changed here -> the topics of others: notices, consents, permissions, unsubscribes.

Nothing is copied into an outbox. Accounts, notices and ledger entries carry the transaction that
changed them last; the relay follows these marks, up to the oldest transaction still running, and
after a publication goes through the accounts of the policy. Of each thing it says how it stands
now, where that differs from what was said last: whatever happened in between is left out, and after
a crash what may not have arrived is said again under the same id.

One relay at a time works on a topic. Its right to is a lock; an epoch fences its bookkeeping, and
the broker its messages: of those that share a transactional id only the newest may write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from reconsent.domain.bus import Batch, Message
from reconsent.domain.topics import LAYOUTS
from reconsent.facts.published.record import Said, doubt, intend, keep, news
from reconsent.facts.published.state import Touched
from reconsent.facts.versions import PublishedVersions
from reconsent.store.named import named
from reconsent.store.offsets import FencedError, advance, take_over
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.bus import Producer
    from reconsent.facts.published.state import Item, PublishedState
    from reconsent.facts.versions import Policies
    from reconsent.store.leases import SoleRight
    from reconsent.store.postgres import Connection, Database

SQL = named("published/cursors")
SWEEPS = named("published/sweeps")
GROUP: Final = "relay"
PAGE: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """A topic, the tables whose changes it follows, and what it says of accounts.

    `sweeps` tells whether what it says may change when a version is published.
    """

    topic: str
    follows: Sequence[str]
    say: Callable[[Connection, Policies, Touched], list[Item]]
    sweeps: bool = True


def outlets(outgoing: PublishedState) -> tuple[Outlet, ...]:
    """Return what is published, topic by topic."""
    return (
        # First, for it is by this topic that others learn what they may not do any longer.
        Outlet(topic="permissions", follows=("accounts",), say=outgoing.permissions),
        Outlet(topic="consents", follows=("accounts", "consents"), say=outgoing.consents),
        Outlet(topic="notices", follows=("accounts", "notices"), say=outgoing.notices),
        Outlet(
            topic="unsubscribes",
            follows=("unsubscribes",),
            say=outgoing.unsubscribes,
            sweeps=False,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Changes that follow one another: where they end, and what is to be said because of them."""

    cursors: Mapping[str, tuple[str, int]]
    sweep: Mapping[str, Any] | None
    messages: Sequence[Message]
    said: Mapping[Any, Said]


class Relay(Service):
    """Publishes one topic.

    `right` is the right to be the only one that does; `produce` opens a producer whose messages
    fence off those of any opened before it.
    """

    name = "relay"

    def __init__(
        self,
        database: Database,
        outlet: Outlet,
        right: SoleRight,
        produce: Callable[[], Producer],
        *,
        source: str,
        now: Callable[[], datetime],
        page: int = PAGE,
    ) -> None:
        """Publish as `source`, the changes of up to `page` accounts at a time."""
        self._database = database
        self._outlet = outlet
        self._right = right
        self._produce = produce
        self._source = source
        self._now = now
        self._size = page
        self._versions = PublishedVersions()
        self._producer: Producer | None = None
        self._epoch = 0
        self._count = 0

    @override
    def work(self) -> bool:
        """Publish one page of changes; False where there is none, or another relay does it."""
        try:
            if not self._right.take():
                return False
            if self._producer is None:
                self._begin()
            page = self._database.transaction(self._read)
            if page is None:
                return False
            if page.messages and self._producer is not None:
                self._database.transaction(lambda c: self._intend(c, page.said))
                self._producer.send(page.messages)
            self._count = self._database.transaction(lambda c: self._keep(c, page))
        except FencedError:
            self.close()  # another one has taken over: wait for the right like anybody else
        except BaseException:
            self.close()
            raise
        return True

    @override
    def idle(self) -> bool:
        """Tell whether nothing waits that this relay would publish."""
        if self._producer is None:
            return True
        with self._database.connection() as connection:
            return not any(
                connection.execute(SQL[f"any_{table}"], _after(cursor)).fetchall()[0][0]
                for table, cursor in self._cursors(connection).items()
            )

    @override
    def close(self) -> None:
        """Leave the topic to others."""
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.close()
        finally:
            self._right.close()

    def _begin(self) -> None:
        """Fence off whoever had the right before, first here, then at the broker."""

        def begin(connection: Connection) -> tuple[int, int]:
            taken = take_over(connection, GROUP, self._outlet.topic, 0)
            doubt(connection, self._outlet.topic)
            return taken

        self._epoch, self._count = self._database.transaction(begin)
        self._producer = self._produce()

    def _intend(self, connection: Connection, items: Iterable[Any]) -> None:
        """Note what is about to be said, unless another relay has taken over."""
        self._advance(connection, self._count)
        intend(connection, self._outlet.topic, items)

    def _cursors(self, connection: Connection) -> dict[str, tuple[str, int]]:
        """Read how far each table was followed."""
        names = {self._cursor(table): table for table in self._outlet.follows}
        rows = connection.execute(SQL["cursors"], {"names": list(names)})
        return {names[name]: (changed, account_key) for name, changed, account_key in rows}

    def _cursor(self, table: str) -> str:
        return f"relay {self._outlet.topic} {table}"

    def _read(self, connection: Connection) -> _Page | None:
        """Read the next changes and what they come to, as everything is at one moment."""
        connection.execute(SQL["snapshot"])
        policies = self._versions.now(connection)
        keys: set[int] = set()
        cursors: dict[str, tuple[str, int]] = {}
        before = self._cursors(connection)
        for table, cursor in before.items():
            rows = connection.execute(SQL[table], _after(cursor) | {"limit": self._size}).fetchall()
            if rows:
                keys.update(key for key, _ in rows)
                cursors[table] = (rows[-1][1], rows[-1][0])
        sweep, swept = self._sweep(connection, policies)
        if sweep is None and not keys:
            return None
        oldest = min((int(changed) for changed, _ in before.values()), default=0)
        touched = Touched(
            keys=sorted(keys.union(swept)), since="0" if sweep is not None else str(oldest)
        )
        items = self._outlet.say(connection, policies, touched)
        said = news(connection, self._outlet.topic, items)
        return _Page(
            cursors=cursors,
            sweep=sweep,
            messages=self._messages(items, said),
            said=said,
        )

    def _sweep(
        self, connection: Connection, policies: Policies
    ) -> tuple[dict[str, Any] | None, list[int]]:
        """Return how far a publication's accounts will have been gone through, and the next."""
        topic = self._outlet.topic
        if not self._outlet.sweeps:
            return None, []
        found = connection.execute(
            SWEEPS["unswept"], {"topic": topic, "latest": policies.latest_ids}
        ).fetchone()
        if found is None:
            return None, []
        version_id, after = found
        properties = policies.properties(policies.versions[version_id].policy)
        rows = connection.execute(
            SWEEPS["slice"], {"after": after, "properties": properties, "limit": self._size}
        )
        keys = [key for (key,) in rows]
        reached = {"version_id": version_id, "account_key": max(keys, default=after)}
        return reached | {"topic": topic, "done": len(keys) < self._size}, keys

    def _messages(self, items: Iterable[Item], new: Mapping[Any, Said]) -> list[Message]:
        now = self._now()
        topic = self._outlet.topic
        same = (
            ("ce_specversion", b"1.0"),
            ("ce_type", LAYOUTS[topic].type.encode()),
            ("ce_source", self._source.encode()),
            ("ce_time", now.isoformat().encode()),
        )
        found = []
        for item in items:
            said = new.get(item.id)
            if said is None:
                continue
            name = f"{item.property}/{item.account}".encode()
            headers = [*same, ("ce_id", said.event_id(item).encode()), ("ce_subject", name)]
            if item.value is not None:
                headers.append(("content-type", b"application/json"))
            found.append(Message(topic, name, item.value, tuple(headers), now))
        return found

    def _keep(self, connection: Connection, page: _Page) -> int:
        """Note what was said, unless another relay has taken over; return how much that was."""
        count = self._count + len(page.messages)
        self._advance(connection, count)
        intend(connection, self._outlet.topic, [])
        for table, cursor in page.cursors.items():
            connection.execute(SQL["follow"], _after(cursor) | {"name": self._cursor(table)})
        if page.sweep is not None:
            connection.execute(SWEEPS["sweep"], page.sweep)
        keep(connection, self._outlet.topic, page.said)
        return count

    def _advance(self, connection: Connection, count: int) -> None:
        """Count what was said. Raises FencedError where another relay has taken over."""
        batch = Batch(
            topic=self._outlet.topic,
            partition=0,
            epoch=self._epoch,
            start_offset=self._count,
            next_offset=count,
            messages=(),
        )
        advance(connection, GROUP, batch)


def _after(cursor: tuple[str, int]) -> dict[str, Any]:
    changed, account_key = cursor
    return {"changed": changed, "account_key": account_key}
