"""Doing what somebody would type, and showing it as they would type it."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.program import Program

_NAME: Final = "reconsent"
_HINT: Final = "next: "


def heading(number: int, text: str) -> None:
    """Begin a step of the story."""
    click.echo()
    click.secho(f"{number}. {text}", bold=True)


def show(*arguments: object) -> None:
    """Show a command as one would type it."""
    click.secho("$ " + shlex.join([*program_name(), *map(_short, arguments)]), dim=True)


def do(program: Program, *arguments: object, shown: bool = True) -> None:
    """Show a command and do it; what it prints is what it always prints."""
    if shown:
        show(*arguments)
    # The demo is one of these commands itself.
    commands = click.get_current_context().find_root().command
    commands.main(
        [str(argument) for argument in arguments],
        prog_name=_NAME,
        obj=lambda: program,
        standalone_mode=False,
    )


def do_without_hint(program: Program, *arguments: object) -> None:
    """Show a command and do it, leaving out what it says should be typed next."""
    show(*arguments)
    said = StringIO()
    with redirect_stdout(said):
        do(program, *arguments, shown=False)
    for line in said.getvalue().splitlines():
        if not line.startswith(_HINT):
            click.echo(line)


@contextmanager
def timed(count: int, of_what: str) -> Iterator[None]:
    """Tell afterwards how long a piece of work took, and its rate."""
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    rate = f", {count / seconds:,.0f} a second" if count else ""
    click.secho(f"{count:,} {of_what} in {seconds:.1f} s{rate}", dim=True)


def program_name() -> list[str]:
    """Name this program as it was called, so that a command can be typed again."""
    if shutil.which(_NAME):
        return [_NAME]
    called = Path(sys.argv[0])
    return ["python", "-m", _NAME] if called.name == "__main__.py" else [_short(called)]


def _short(argument: object) -> str:
    """Write an argument; a path below the current folder without it."""
    if not isinstance(argument, Path):
        return str(argument)
    try:
        return str(argument.relative_to(Path.cwd()))
    except ValueError:
        return str(argument)
