"""Statements that come in several times, and recording them in any order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Final, LiteralString, NamedTuple

from hypothesis import strategies as st

from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.domain.signing import Signer
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database

NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
HASH: Final = Signer("secret").address_hash
_NUMBERS: Final = count()
_WAITING: Final = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Copy(NamedTuple):
    """A statement as it came in once, under an id that another copy may share."""

    topic: str
    data: dict[str, Any]
    came_in: datetime
    id: str = "1"

    def record(self, connection: Connection, account: str) -> None:
        """Record it as of an account."""
        data = self.data | {"property": "shop.example", "account": account}
        event = parse(self.topic, json.dumps(data).encode())
        received = Received(self.topic, "/crm", self.id, event, self.came_in)
        recorder = Recorder(PublishedVersions(), HASH, lambda: self.came_in)
        recorder.record(connection, [received])


class Statement(NamedTuple):
    """What is said at a time, and when each copy of it came in."""

    topic: str
    fields: dict[str, Any]
    at: datetime
    arrivals: Sequence[datetime]
    same_event: bool = True

    def copies(self) -> list[Copy]:
        """Return a copy for each arrival."""
        time_of = {"accounts": "updated_at", "collections": "collected_at"}
        data = self.fields | {time_of.get(self.topic, "decided_at"): self.at.isoformat()}
        if self.topic == "choices":
            data["evidence"] = f"signed {self.at}"
        name = json.dumps(data)
        return [
            Copy(self.topic, data, came_in, name if self.same_event else f"{number}-{name}")
            for number, came_in in enumerate(self.arrivals)
        ]

    def first(self) -> Copy:
        """Return the copy that came in first."""
        return min(self.copies(), key=lambda copy: copy.came_in)

    def counts_from(self) -> datetime:
        """Return from when the statement counts."""
        return min(self.at, *self.arrivals)


def play(database: Database, copies: Sequence[Copy]) -> str:
    """Record copies one after another as of a new account; return its name."""
    name = f"account-{next(_NUMBERS)}"
    for copy in copies:
        database.transaction(partial(copy.record, account=name))
    return name


def read(database: Database, query: LiteralString, account: str) -> list[tuple[Any, ...]]:
    """Run a query about an account."""
    with database.connection() as connection:
        return connection.execute(query, {"account": account}).fetchall()


HELD: Final = """
SELECT members FROM holdings JOIN account_sets USING (holdings_id)
JOIN accounts USING (bucket, account_key) WHERE account = %(account)s
"""


def collection(*, erased: bool) -> dict[str, Any]:
    """Return that data was collected or erased."""
    return {"data_category": "user.contact", "collected_under": "v1", "erased": erased}


COLLECTIONS: Final = [
    ("collections", collection(erased=False)),
    ("collections", collection(erased=False)),
    ("collections", collection(erased=True)),
]
DELETED: Final = {"status": "deleted", "contact": "all"}


@st.composite
def told_of(
    draw: st.DrawFn, kinds: Sequence[tuple[str, dict[str, Any]]]
) -> tuple[list[Statement], list[Copy]]:
    """Draw statements whose copies come in at any times, no two at the same; and any order."""
    picked = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, 3)) for _ in picked]
    arrivals, stated = (
        draw(
            st.lists(
                st.integers(first, first + 40).map(lambda minute: NOW + minute * MINUTE),
                min_size=size,
                max_size=size,
                unique=True,
            )
        )
        # Most are ahead of their time.
        for first, size in ((0, sum(sizes)), (30, len(picked)))
    )
    moments = iter(arrivals)
    said = [
        Statement(kind[0], kind[1], at, [next(moments) for _ in range(size)], draw(st.booleans()))
        for kind, at, size in zip(picked, stated, sizes, strict=True)
    ]
    copies = draw(st.permutations([copy for one in said for copy in one.copies()]))
    return said, list(copies)


def in_order(said: Sequence[Statement]) -> list[Copy]:
    """Return each statement once, as it came in first, in the order in which they count."""
    return [one.first() for one in sorted(said, key=Statement.counts_from)]


def at_once(database: Database, account: str, first: Copy, second: Copy) -> None:
    """Record two copies; the second is recorded before the first is committed, or waits."""
    other = threading.Thread(
        target=lambda: database.transaction(lambda c: second.record(c, account))
    )
    with database.connection() as connection:
        first.record(connection, account)
        other.start()
        while other.is_alive() and not _waits(database):
            time.sleep(0.01)
    other.join()


def _waits(database: Database) -> bool:
    with database.connection() as connection:
        return connection.execute(_WAITING).fetchone() is not None
