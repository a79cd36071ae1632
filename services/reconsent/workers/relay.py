"""Publish changes to the topics for others: notices, consents, permissions, unsubscribes.

There is no outbox. A relay follows the log of changes, and sweeps the accounts of a policy after a
version is published. It publishes the current state of an item if that differs from the last
published one; intermediate states are skipped. After a crash, messages whose delivery is in doubt
are published again under the same id. After a restore everything is published again.

A lease ensures that one relay at a time works on a topic. An epoch fences its bookkeeping, and the
broker fences its messages: of producers with one transactional id only the newest may write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from reconsent.domain.bus import Batch, Message
from reconsent.domain.topics import LAYOUTS
from reconsent.facts.changes import (
    Change,
    Stream,
    any_changes,
    begin_following,
    changes_after,
    follow_to,
    followed,
)
from reconsent.facts.published.record import Published, doubt, intend, record, unpublished
from reconsent.facts.published.sweeps import Sweep, begin_full_sweep, next_sweep, note_sweep
from reconsent.facts.restores import current_era, recorded_era
from reconsent.facts.versions import PublishedVersions
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

GROUP: Final = "relay"
PAGE: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """A topic, the streams of changes that it follows, and how to read its items.

    `sweeps` tells whether its items may change when a version is published, `awaits_planning`
    whether they are made by planning it.
    """

    topic: str
    follows: Sequence[Stream]
    state: Callable[[Connection, Policies, Sequence[int]], list[Item]]
    sweeps: bool = True
    awaits_planning: bool = False

    @property
    def follower(self) -> str:
        """The name under which the relay follows the log."""
        return f"relay {self.topic}"


def outlets(published: PublishedState) -> tuple[Outlet, ...]:
    """Return the published topics."""
    return (
        # First: this topic tells others what is no longer permitted.
        Outlet(topic="permissions", follows=("accounts",), state=published.permissions),
        Outlet(topic="consents", follows=("accounts", "consents"), state=published.consents),
        Outlet(
            topic="notices",
            follows=("accounts", "notices"),
            state=published.notices,
            awaits_planning=True,
        ),
        Outlet(
            topic="unsubscribes",
            follows=("unsubscribes",),
            state=published.unsubscribes,
            sweeps=False,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Successive changes, and the messages to publish for them."""

    changes: Mapping[Stream, Sequence[Change]]
    sweep: Sweep | None
    messages: Sequence[Message]
    published: Mapping[Any, Published]


class Relay(Service):
    """Publishes one topic.

    `right` makes it the only relay of the topic; `produce` opens a producer that fences all
    producers opened before it.
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
        """Publish as `source`, up to `page` changes of each stream at a time."""
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
        """Publish one page of changes; False if there is none or another relay has the topic."""
        try:
            if not self._right.take():
                return False
            if self._producer is None:
                self._begin()
            self._database.transaction(self._follow)
            with self._database.one_moment() as connection:
                page = self._read(connection)
            if page is None:
                return False
            if page.messages and self._producer is not None:
                self._database.transaction(lambda c: self._intend(c, page.published))
                self._producer.send(page.messages)
            self._count = self._database.transaction(lambda c: self._record(c, page))
        except FencedError:
            self.close()  # another relay has taken over: wait for the right
        except BaseException:
            self.close()
            raise
        return True

    @override
    def idle(self) -> bool:
        """Return whether this relay has nothing to publish."""
        if self._producer is None:
            return True
        with self._database.connection() as connection:
            follower = self._outlet.follower
            return bool(followed(connection, follower)) and not any_changes(connection, follower)

    @override
    def close(self) -> None:
        """Give up the topic."""
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.close()
        finally:
            self._right.close()

    def _begin(self) -> None:
        """Fence earlier relays, first in the database, then at the broker."""

        def begin(connection: Connection) -> tuple[int, int]:
            taken = take_over(connection, GROUP, self._outlet.topic, 0)
            doubt(connection, self._outlet.topic)
            return taken

        self._epoch, self._count = self._database.transaction(begin)
        self._producer = self._produce()

    def _intend(self, connection: Connection, published: Mapping[Any, Published]) -> None:
        """Record what is about to be published, unless another relay has taken over."""
        self._advance(connection, self._count)
        intend(connection, self._outlet.topic, published)

    def _follow(self, connection: Connection) -> None:
        """Start a full sweep at first and after a restore."""
        current_era(connection)
        outlet = self._outlet
        if not followed(connection, outlet.follower):
            begin_following(connection, outlet.follower, outlet.follows)
            begin_full_sweep(connection, outlet.topic)

    def _read(self, connection: Connection) -> _Page | None:
        """Read the next changes and the messages for them, from one snapshot."""
        policies = self._versions.now(connection)
        outlet = self._outlet
        changes = {
            stream: changed
            for stream in followed(connection, outlet.follower)
            if (changed := changes_after(connection, outlet.follower, stream, self._size))
        }
        keys = {change.account_key for changed in changes.values() for change in changed}
        sweep = next_sweep(
            connection,
            outlet.topic,
            policies,
            self._size,
            versions=outlet.sweeps,
            awaits_planning=outlet.awaits_planning,
        )
        if sweep is None and not keys:
            return None
        touched = sorted(keys.union(sweep.keys if sweep else ()))
        items = outlet.state(connection, policies, touched)
        # From the same snapshot: a restore may have been recorded since the last step began.
        published = unpublished(connection, outlet.topic, items, recorded_era(connection))
        return _Page(
            changes=changes,
            sweep=sweep,
            messages=self._messages(items, published),
            published=published,
        )

    def _messages(self, items: Iterable[Item], published: Mapping[Any, Published]) -> list[Message]:
        now = self._now()
        topic = self._outlet.topic
        common_headers = (
            ("ce_specversion", b"1.0"),
            ("ce_type", LAYOUTS[topic].type.encode()),
            ("ce_source", self._source.encode()),
            ("ce_time", now.isoformat().encode()),
        )
        found = []
        for item in items:
            state = published.get(item.id)
            if state is None:
                continue
            key = f"{item.property}/{item.account}".encode()
            headers = [
                *common_headers,
                ("ce_id", state.event_id(item).encode()),
                ("ce_subject", key),
            ]
            if item.value is not None:
                headers.append(("content-type", b"application/json"))
            found.append(Message(topic, key, item.value, tuple(headers), now))
        return found

    def _record(self, connection: Connection, page: _Page) -> int:
        """Record what was published, unless another relay has taken over; return the new count."""
        topic = self._outlet.topic
        count = self._count + len(page.messages)
        self._advance(connection, count)
        intend(connection, topic, {})
        for stream, seen in page.changes.items():
            follow_to(connection, self._outlet.follower, stream, seen)
        if page.sweep is not None:
            note_sweep(connection, topic, page.sweep)
        record(connection, topic, page.published)
        return count

    def _advance(self, connection: Connection, count: int) -> None:
        """Advance the message count. Raises FencedError if another relay has taken over."""
        batch = Batch(
            topic=self._outlet.topic,
            partition=0,
            epoch=self._epoch,
            start_offset=self._count,
            next_offset=count,
            messages=(),
        )
        advance(connection, GROUP, batch)
