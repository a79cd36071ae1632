"""Publish changes to the topics for others: notices, consents, permissions, unsubscribes.

There is no outbox. A relay follows the log of changes, and sweeps the accounts of a policy after a
version is published. It publishes the current state of an item if that differs from the last
published one; intermediate states are skipped. After a crash, messages whose delivery is in doubt
are published again under the same id. After a restore everything is published again.

Changes are taken a page at a time, from one snapshot. While one part of a page is sent, a thread
reads the next.

A lease ensures that one relay at a time works on a topic. An epoch fences its bookkeeping, and the
broker fences its messages: of producers with one transactional id only the newest may write.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from typing_extensions import override

from reconsent.domain.bus import Batch
from reconsent.facts.changes import (
    Change,
    Stream,
    any_changes,
    begin_following,
    changes_after,
    follow_to,
    followed,
)
from reconsent.facts.published.messages import messages
from reconsent.facts.published.record import Published, doubt, intend, record, unpublished
from reconsent.facts.published.sweeps import Sweep, begin_full_sweep, next_sweep, note_sweep
from reconsent.facts.restores import current_era, recorded_era
from reconsent.facts.versions import PublishedVersions
from reconsent.store.offsets import FencedError, advance, take_over
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    from reconsent.domain.bus import Message, Producer
    from reconsent.facts.published.state import Item, PublishedState
    from reconsent.facts.versions import Policies
    from reconsent.store.leases import SoleRight
    from reconsent.store.postgres import Connection, Database

GROUP: Final = "relay"
PAGE: Final = 20_000
_PARTS: Final = 10


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
    """Successive changes, and the accounts to look at for them, in parts."""

    changes: Mapping[Stream, Sequence[Change]]
    sweep: Sweep | None
    parts: Sequence[Sequence[int]]


class _Part(NamedTuple):
    """The messages to publish for some accounts of a page; `ends` is the page that it ends."""

    messages: Sequence[Message] = ()
    published: Mapping[Any, Published] = {}
    ends: _Page | None = None


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
            with closing(self._read()) as parts, ThreadPoolExecutor(1) as ahead:
                return self._publish(parts, ahead)
        except FencedError:
            self.close()  # another relay has taken over: wait for the right
        except BaseException:
            self.close()
            raise
        return True

    def _publish(self, parts: Iterator[_Part], ahead: Executor) -> bool:
        """Publish a page; False if there is none. The next part is read while one is sent.

        Each is recorded together with the intent to publish the next one.
        """
        part = next(parts, None)
        unrecorded = _Part()
        while part is not None:
            coming = None if part.ends else ahead.submit(next, parts)
            if part.messages and self._producer is not None:
                self._keep(unrecorded, part)
                self._producer.send(part.messages)
                unrecorded = part
            if coming is None:
                self._keep(unrecorded._replace(ends=part.ends), _Part())
                return True
            part = coming.result()
        return False

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

    def _follow(self, connection: Connection) -> None:
        """Start a full sweep at first and after a restore."""
        current_era(connection)
        outlet = self._outlet
        if not followed(connection, outlet.follower):
            begin_following(connection, outlet.follower, outlet.follows)
            begin_full_sweep(connection, outlet.topic)

    def _read(self) -> Generator[_Part]:
        """Read the next changes and the messages for them, a part at a time, from one snapshot.

        No two parts have messages about the same account.
        """
        with self._database.one_moment() as connection:
            policies = self._versions.now(connection)
            page = self._page(connection, policies)
            if page is None:
                return
            *others, last = page.parts
            for keys in others:
                yield self._part(connection, policies, keys)
            part = self._part(connection, policies, last)
        yield part._replace(ends=page)

    def _page(self, connection: Connection, policies: Policies) -> _Page | None:
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
        size = -(-self._size // _PARTS)
        parts = [touched[start : start + size] for start in range(0, len(touched), size)]
        return _Page(changes=changes, sweep=sweep, parts=parts or [[]])

    def _part(self, connection: Connection, policies: Policies, keys: Sequence[int]) -> _Part:
        items = self._outlet.state(connection, policies, keys)
        # From the same snapshot: a restore may have been recorded since the last step began.
        era = recorded_era(connection)
        published = unpublished(connection, self._outlet.topic, items, era)
        made = messages(self._outlet.topic, self._source, items, published, self._now())
        return _Part(made, published)

    def _keep(self, sent: _Part, coming: _Part) -> None:
        """Record what was sent and what is about to be, unless another relay has taken over."""
        topic, count = self._outlet.topic, self._count + len(sent.messages)

        def keep(connection: Connection) -> None:
            self._advance(connection, count)
            record(connection, topic, sent.published)
            intend(connection, topic, coming.published)
            if sent.ends is None:
                return
            for stream, seen in sent.ends.changes.items():
                follow_to(connection, self._outlet.follower, stream, seen)
            if sent.ends.sweep is not None:
                note_sweep(connection, topic, sent.ends.sweep)

        self._database.transaction(keep)
        self._count = count

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
