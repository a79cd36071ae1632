"""Checking the lines of a file, and writing their events as they will be recorded, lane by lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import time_of
from reconsent.domain.event_rows import account_rows, collection_rows
from reconsent.domain.lane import LANES, lane_of
from reconsent.domain.received import CLOCKS_DIFFER
from reconsent.domain.unknown_names import Names, tally
from reconsent.files.events import parsed, read_line
from reconsent.files.lines import LONGEST_LINE

if TYPE_CHECKING:
    from reconsent.domain.event import AccountEvent, Event

    _Add = Callable[[int, int, bytes, Any], None]

_AT_ONCE: Final = 2_000
MOST_NAMES: Final = 5_000
"""Of so many different names the counts are kept: more cannot be meant, or read."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Rules(NamedTuple):
    """How the lines of a file are read, and what writing their events takes.

    `early`: between which times lie those that statements ahead of them have stated. RULES 27.
    """

    topic: str
    now: datetime
    address_hash: Callable[[str], bytes]
    is_csv: bool = False
    early: tuple[datetime, datetime] | None = None


class Noted(NamedTuple):
    """Something to report about an event: its position, the line it begins on, and what it is."""

    position: int
    number: int
    what: str


class Line(NamedTuple):
    """An event as JSON, with its position and the number of the line it begins on."""

    position: int
    number: int
    data: bytes


class Part(NamedTuple):
    """A lane's events of one block.

    `rows` are written as by domain/event_rows.py. Other topics have `lines` instead, and so have
    events that may count from another time than they state. `unusable` are those whose address
    counts as none.
    """

    rows: bytes = b""
    lines: tuple[Line, ...] = ()
    unusable: tuple[Noted, ...] = ()

    def after(self, position: int) -> Part:
        """Return the part without its events up to a position."""
        if position <= 0:
            return self
        rows = self.rows.splitlines(keepends=True)
        return Part(
            b"".join(row for row in rows if int(row.split(b"\t", 1)[0]) > position),
            tuple(line for line in self.lines if line.position > position),
            tuple(noted for noted in self.unusable if noted.position > position),
        )


class Seen(NamedTuple):
    """How many events of a file have something in common, and the line of the first."""

    events: int
    line: int


class Checked(NamedTuple):
    """A block whose lines are well formed. Positions and line numbers in it begin with 1.

    `names`: how many events have the same names, and the line number of the first. `early`: those
    that are dated ahead by more than clocks may differ.
    """

    lines: int
    events: int
    parts: tuple[Part, ...]
    names: Mapping[Names, Seen]
    early: Seen | None = None


class Mistake(NamedTuple):
    """The first malformed line of a block, and what is wrong with it."""

    number: int
    what: str


def check_block(block: bytes, rules: Rules) -> Checked | Mistake:
    """Check a block of whole lines of NDJSON."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    some: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        if len(line) >= LONGEST_LINE:
            checked = check_lines(some, number, rules)
            too_long = Mistake(number, f"longer than {LONGEST_LINE} bytes")
            return checked if isinstance(checked, Mistake) else too_long
        data = line.removesuffix(b"\r")
        if data and not data.isspace():
            some.append((number, data))
    return check_lines(some, len(lines), rules)


def check_lines(some: Sequence[tuple[int, bytes]], lines: int, rules: Rules) -> Checked | Mistake:
    """Check the JSON of events, each with its line number, from a block of so many lines."""
    lanes = [_Lane(rules) for _ in range(LANES)]
    names: dict[Names, Seen] = {}
    for start in range(0, len(some), _AT_ONCE):
        few = some[start : start + _AT_ONCE]
        events = _events(few, rules)
        if isinstance(events, Mistake):
            return events
        _count_names(names, rules.topic, events, few)
        for position, ((number, data), event) in enumerate(
            zip(few, events, strict=True), start + 1
        ):
            lanes[lane_of(event)].add(position, number, data, event)
    parts = tuple(lane.part() for lane in lanes)
    return Checked(lines, len(some), parts, names, seen_together(lane.early for lane in lanes))


def seen_together(seen: Iterable[Seen | None]) -> Seen | None:
    """Return what several have seen, together; None where none has seen anything."""
    found = [one for one in seen if one is not None]
    if not found:
        return None
    return Seen(sum(one.events for one in found), min(one.line for one in found))


def _count_names(
    names: dict[Names, Seen],
    topic: str,
    events: Sequence[Any],
    few: Sequence[tuple[int, bytes]],
) -> None:
    """Add to the counts of events with the same names, while there are not too many different."""
    counted, each = tally(topic, events)
    new = counted.keys() - names.keys()
    firsts = {one: at for at, one in reversed(list(enumerate(each))) if one in new} if new else {}
    for one, count in counted.items():
        seen = names.get(one)
        if seen is not None:
            names[one] = Seen(seen.events + count, seen.line)
        elif len(names) < MOST_NAMES:
            names[one] = Seen(count, few[firsts[one]][0])


def _events(few: Sequence[tuple[int, bytes]], rules: Rules) -> Sequence[Any] | Mistake:
    events: list[Event] | None = parsed(rules.topic, [data for _, data in few])
    if events is not None:
        return events
    events = []
    for number, data in few:
        try:
            _, received = read_line(rules.topic, data, rules.now, is_csv=rules.is_csv)
        except BadInputError as error:
            return Mistake(number, str(error))
        events.append(received.data)
    return events


class _Lane:
    """A lane's events, while those of a block are checked."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._now = rules.now
        # Without any, nothing lies between these.
        self._first, self._last = rules.early or (rules.now, _NEVER)
        self._events: list[tuple[int, Any, str | None]] = []
        self._lines: list[Line] = []
        self._unusable: list[Noted] = []
        self.early: Seen | None = None
        """Those that are dated ahead by more than clocks may differ."""
        adds: dict[str, _Add] = {"accounts": self._add_account, "collections": self._add_event}
        self.add = adds.get(rules.topic, self._add_line)
        """Add an event, with its position, line number and data."""

    def part(self) -> Part:
        """Return the lane's part."""
        rows = b""
        if self._rules.topic == "accounts":
            rows = account_rows(self._events, self._rules.address_hash)
        elif self._rules.topic == "collections":
            rows = collection_rows([(position, event) for position, event, _ in self._events])
        return Part(rows, tuple(self._lines), tuple(self._unusable))

    def _add_account(self, position: int, number: int, data: bytes, event: AccountEvent) -> None:
        email = None
        try:
            if event.given_email is not None:
                email = usable_address(event.given_email)
        except UnusableAddressError as error:
            what = f"email: {error}; recorded without it"
            self._unusable.append(Noted(position, number, what))
        self._add_event(position, number, data, event, email)

    def _add_event(
        self, position: int, number: int, data: bytes, event: Event, email: str | None = None
    ) -> None:
        at = time_of(event)
        if at is None or at > self._now or self._first <= at <= self._last:
            self._add_line(position, number, data, event)
        else:
            self._events.append((position, event, email))

    def _add_line(self, position: int, number: int, data: bytes, event: Event) -> None:
        self._lines.append(Line(position, number, data))
        at = time_of(event)
        if at is not None and at - self._now > CLOCKS_DIFFER:
            self.early = seen_together([self.early, Seen(1, number)])
