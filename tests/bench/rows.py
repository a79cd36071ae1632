"""The rows of `make bench`: a path, its floor or peer, and the required ratio.

A benchmark measures both in turns in one run, because machines differ from day to day: the medians
are compared. All rows that were measured are printed as one table at the end.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

TIMES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """A path and its floor or peer.

    `most` limits the ratio of the path's time to the floor's; `least` requires a ratio of the
    path's rate to the peer's. A row with neither is printed for orientation. `compares_ratios`:
    what is compared are ratios already, such as those of one path at two sizes.
    """

    name: str
    path: str
    floor: str
    most: float | None = None
    least: float | None = None
    compares_ratios: bool = False

    def ratio(self, path: float, floor: float) -> float:
        """Compare two rates as the row requires it."""
        return path / floor if self.least is not None else floor / path

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is as required."""
        if self.least is not None:
            return ratio >= self.least
        return self.most is None or ratio <= self.most

    def shown(self, rates: Sequence[float]) -> str:
        """The median of some rates as it is printed."""
        rate = median(rates)
        return f"{1 / rate:.2f}" if self.compares_ratios else f"{rate:,.0f}"

    @property
    def must(self) -> str:
        """The requirement in words."""
        if self.least is not None:
            return f"≥ {self.least:g} of its rate"
        if self.most is None:
            return ""
        return f"≤ {self.most:g} times {'it' if self.compares_ratios else 'its time'}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The rates of a row's path and of its floor, in items per second, one for each time."""

    row: Row
    path: Sequence[float]
    floor: Sequence[float]
    note: str = ""

    @property
    def ratio(self) -> float:
        """The ratio of the medians."""
        return self.row.ratio(median(self.path), median(self.floor))

    def cells(self) -> list[str]:
        """The row of the printed table."""
        verdict = "" if self.row.met(self.ratio) else " **missed**"
        return [
            self.row.name,
            f"{self.row.path}{'; ' + self.note if self.note else ''}",
            self.row.shown(self.path),
            self.row.floor,
            self.row.shown(self.floor),
            f"{self.ratio:.2f}{verdict}",
            self.row.must,
        ]


@dataclass
class Table:
    """What was measured in this run, and the SQL of the floors."""

    measured: list[Measured] = field(default_factory=list)
    floors: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        row: Row,
        *,
        items: int,
        path: Sequence[float],
        floor: Sequence[float],
        note: str = "",
    ) -> Measured:
        """Add a row from the seconds that `items` took, each time; print it at once."""
        made = Measured(
            row=row,
            path=[items / seconds for seconds in path],
            floor=[items / seconds for seconds in floor],
            note=note,
        )
        self.measured.append(made)
        print(f"\n{row.name}: " + ", ".join(cell for cell in made.cells()[1:] if cell))
        return made

    def floor(self, name: str, sql: str) -> str:
        """Print a floor's SQL below the table, under a name; return the SQL."""
        self.floors[name] = " ".join(sql.split())
        return sql

    def lines(self) -> list[str]:
        """The table in Markdown, and below it the SQL of the floors."""
        header = ["row", "path", "per second", "floor or peer", "per second", "ratio", "required"]
        rows = [header, ["---"] * len(header), *(one.cells() for one in self.measured)]
        table = ["| " + " | ".join(cells) + " |" for cells in rows]
        return [*table, "", *(f"- {name}: `{sql}`" for name, sql in self.floors.items())]


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory() -> float:
    """Return this process's peak memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
