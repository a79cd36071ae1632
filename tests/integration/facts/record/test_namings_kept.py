"""Few of the times at which an account named an address are kept, and enough of them. RULES 15."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Final, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconsent.facts.record.marks import Marked, mark, marks_of
from reconsent.store.postgres import Connection, Database
from tests.integration.facts.record.copies import HASH, NOW, Copy, read

DAY: Final = timedelta(days=1)
_KEPT: Final = """
SELECT named_at FROM named_addresses JOIN accounts USING (bucket, account_key)
WHERE account = %(account)s ORDER BY named_at
"""
_NUMBERS: Final = count()


class Event(NamedTuple):
    """An account event as of a day; it names the address or another, or is a deletion."""

    day: int
    verified: int | None = None
    deletes: bool = False
    address: str = "it"

    def record(self, connection: Connection, account: str) -> None:
        """Record it, long after all days."""
        said = {"status": "deleted" if self.deletes else "active", "contact": "all"}
        if not self.deletes:
            # The account changes with each event.
            said |= {"email": address(account, self.address), "name": f"{self}"}
        if self.verified is not None:
            said["email_verified_at"] = on(self.verified).isoformat()
        data = said | {"updated_at": on(self.day).isoformat()}
        Copy("accounts", data, on(500), f"{self}").record(connection, account)


def on(day: int) -> datetime:
    """Return a time by the days after the beginning."""
    return NOW + day * DAY


def address(account: str, which: str = "it") -> str:
    """Return an address that an account names."""
    return f"{account}-{which}@example.org"


def lifted(database: Database, account: str, day: int) -> bool:
    """Mark the mailbox as of a day; return whether that does not hold."""

    def marked(connection: Connection) -> bool:
        mailbox = HASH(address(account))
        mark(connection, [Marked(mailbox, "bounced", on(day))])
        return marks_of(connection, [mailbox])[0].lifted_at is not None

    return database.transaction(marked)


def lifted_by_the_rule(events: Sequence[Event], day: int) -> bool:
    """Return whether what was named since the deletion lifts a mark of a day."""
    deleted = max((one.day for one in events if one.deletes), default=-1)
    named = [one for one in events if not one.deletes and one.day > deleted]
    first = min((one.day for one in named), default=0)
    verified = max((one.verified for one in named if one.verified is not None), default=-1)
    return verified >= first and verified > day


def in_time(events: Sequence[Event]) -> bool:
    """Return whether the deletion comes no later than 30 days after another naming."""
    before: list[int] = []
    for one in events:
        if one.deletes:
            return not before or one.day < min(before) or one.day >= max(before) - 30
        before.append(one.day)
    return True


@st.composite
def _events(draw: st.DrawFn) -> list[Event]:
    days = draw(st.lists(st.integers(0, 120), min_size=1, max_size=8, unique=True))
    gone = draw(st.sampled_from([None, None, *days]))
    said = []
    for day in days:
        verified = draw(st.none() | st.integers(max(day - 40, 0), day))
        said.append(Event(day, deletes=True) if day == gone else Event(day, verified))
    return said


@given(events=_events(), day=st.integers(0, 120), moved=st.booleans())
@example(events=[Event(0), Event(40), Event(60, 45), Event(35, deletes=True)], day=44, moved=False)
@example(events=[Event(0), Event(10, 10), Event(100)], day=5, moved=True)
def test_what_is_kept_lifts_what_the_rule_lifts(
    shared: Database, events: list[Event], day: int, *, moved: bool
) -> None:
    """In any order of arrival; after a deletion that comes very late it may lift less.

    `moved`: the account has another address now.
    """
    account = f"kept-{next(_NUMBERS)}"
    if moved:
        elsewhere = Event(200, address="another")
        shared.transaction(partial(elsewhere.record, account=account))
    for event in events:
        shared.transaction(partial(event.record, account=account))
    found, expected = lifted(shared, account, day), lifted_by_the_rule(events, day)
    if in_time(events):
        assert found == expected
    else:
        assert found <= expected, "nothing else lifts a mark"


@settings(max_examples=settings().max_examples // 4)
@given(days=st.permutations(range(0, 400, 10)), verified=st.integers(0, 399))
def test_the_table_does_not_grow_with_each_change(
    shared: Database, days: list[int], verified: int
) -> None:
    """The first time, the one of the latest verification, and those of the last 30 days."""
    account = f"kept-{next(_NUMBERS)}"
    verifying = verified // 10 * 10
    for day in days:
        event = Event(day, day if day == verifying else None)
        shared.transaction(partial(event.record, account=account))
    expected = sorted({0, verifying, 370, 380, 390})
    assert [at for (at,) in read(shared, _KEPT, account)] == [on(day) for day in expected]
