"""Checking the lines of a file, and writing their events as they will be recorded, lane by lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import time_of
from reconsent.domain.event_rows import account_rows, collection_rows
from reconsent.domain.lane import LANES, lane_of
from reconsent.files.events import parsed, read_line
from reconsent.files.lines import LONGEST_LINE

if TYPE_CHECKING:
    from reconsent.domain.event import AccountEvent, Event

    _Add = Callable[[int, int, bytes, Any], None]

_AT_ONCE: Final = 2_000
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


class Checked(NamedTuple):
    """A block whose lines are well formed. Positions and line numbers in it begin with 1."""

    lines: int
    events: int
    parts: tuple[Part, ...]


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
    for start in range(0, len(some), _AT_ONCE):
        few = some[start : start + _AT_ONCE]
        events = _events(few, rules)
        if isinstance(events, Mistake):
            return events
        for position, ((number, data), event) in enumerate(
            zip(few, events, strict=True), start + 1
        ):
            lanes[lane_of(event)].add(position, number, data, event)
    return Checked(lines, len(some), tuple(lane.part() for lane in lanes))


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
            self._lines.append(Line(position, number, data))
        else:
            self._events.append((position, event, email))

    def _add_line(self, position: int, number: int, data: bytes, _: Event) -> None:
        self._lines.append(Line(position, number, data))
