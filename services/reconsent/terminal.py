"""Output of the commands: tables for people, JSON for programs, progress on a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typing_extensions import override

_ROWS_AT_ONCE: Final = 500
_WIDE: Final = 120

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Commands(click.Group):
    """A group whose help lists the commands in the order of their making, each with a sentence."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        rows = [(name, each.get_short_help_str(_WIDE)) for name, each in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def document(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False))


def lines(values: Iterable[object]) -> None:
    """Print a list as NDJSON."""
    for value in values:
        document(value)


def json_lines(values: Iterable[bytes]) -> None:
    """Print a list, whose values are JSON already, as NDJSON."""
    click.echo(b"\n".join(values))


def for_people(*, as_json: bool) -> bool:
    """Return whether a list is for a person: on a terminal, and JSON was not requested."""
    return not as_json and sys.stdout.isatty()


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print an aligned table; a long one in parts, as its rows come, each aligned by itself."""
    console = Console(highlight=False, markup=False)
    left = iter(rows)
    part = list(islice(left, _ROWS_AT_ONCE))
    first = True
    while part or first:
        aligned = Table(box=None, pad_edge=False, header_style="bold", show_header=first)
        for heading in headings:
            aligned.add_column(heading, overflow="fold")
        for row in part:
            aligned.add_row(*("" if cell is None else str(cell) for cell in row))
        console.print(aligned)
        part = list(islice(left, _ROWS_AT_ONCE))
        first = False


def is_wide() -> bool:
    """Tell whether a table has room for a column of ids."""
    return Console().width >= _WIDE


def complain(message: str) -> None:
    """Print one line on standard error."""
    click.echo(message, err=True)


class Steps:
    """A progress bar."""

    def __init__(self, progress: Progress | None, task: Any) -> None:  # noqa: ANN401 -- rich's id
        """Use a bar of rich, or show nothing if it is None."""
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        """Advance the bar by `count`."""
        if self._progress:
            self._progress.advance(self._task, count)


@contextmanager
def steps(title: str, total: int | None) -> Iterator[Steps]:
    """Show a progress bar if standard error is a terminal; None is an unknown total."""
    if not sys.stderr.isatty():
        yield Steps(None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=total is None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Steps(progress, progress.add_task(title, total=total))


@contextmanager
def reading() -> Iterator[Callable[[str, int, int, int], None]]:
    """Show on a terminal how much of a file has been read, and how many events a second.

    Yields a callback that takes a title, the bytes read, the file's size and the events read.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        began: dict[str, tuple[TaskID, float]] = {}

        def show(title: str, position: int, size: int, events: int) -> None:
            if title not in began:
                task = progress.add_task(title, total=size, events=0, rate=0.0)
                began[title] = (task, time.monotonic())
            task, since = began[title]
            rate = events / max(time.monotonic() - since, 0.001)
            progress.update(task, completed=position, events=events, rate=rate)

        yield show


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts: 1 event, 2 events."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def use_in_words(record: dict[str, Any]) -> str:
    """Format a use in one line: data category, version, use and recipient."""
    under = record["collected_under"] or "an unknown version"
    return f"{record['data_category']} of {under}: {record['data_use']} by {record['recipient']}"
