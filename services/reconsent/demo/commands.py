"""Commands of the demo, shown as a user would type them."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.program import Program

_NAME: Final = "reconsent"
_HINT: Final = "next: "
_WARNING: Final = "(warning)"


def heading(number: int, text: str) -> None:
    """Print the heading of a step."""
    click.echo()
    click.secho(f"{number}. {text}", bold=True)


def show(*arguments: object) -> None:
    """Print a command as a user would type it."""
    click.secho("$ " + shlex.join([*program_name(), *map(_short, arguments)]), dim=True)


def do(program: Program, *arguments: object, shown: bool = True) -> None:
    """Print a command and run it, with its usual output."""
    if shown:
        show(*arguments)
    # The demo itself is one of the commands of this group.
    commands = click.get_current_context().find_root().command
    commands.main(
        [str(argument) for argument in arguments],
        prog_name=_NAME,
        obj=lambda: program,
        standalone_mode=False,
    )


def do_without_hint(program: Program, *arguments: object) -> None:
    """Print a command and run it, without its hint about the next command."""
    show(*arguments)
    output = StringIO()
    with redirect_stdout(output):
        do(program, *arguments, shown=False)
    for line in output.getvalue().splitlines():
        if not line.startswith(_HINT):
            click.echo(line)


def do_without_warnings(program: Program, *arguments: object) -> None:
    """Print a command and run it, without warnings of what the story brings later."""
    errors = StringIO()
    try:
        with redirect_stderr(errors):
            do(program, *arguments)
    finally:
        for line in errors.getvalue().splitlines():
            if not line.endswith(_WARNING):
                click.echo(line, err=True)


@contextmanager
def timed(count: int, unit: str) -> Iterator[None]:
    """Print afterwards how long the block took, and its rate."""
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    rate = f", {count / seconds:,.0f} a second" if count else ""
    click.secho(f"{count:,} {unit} in {seconds:.1f} s{rate}", dim=True)


def program_name() -> list[str]:
    """Return how this program was called, so that the commands shown can be copied."""
    if shutil.which(_NAME):
        return [_NAME]
    called = Path(sys.argv[0])
    return ["python", "-m", _NAME] if called.name == "__main__.py" else [_short(called)]


def _short(argument: object) -> str:
    """Format an argument; a path below the current folder becomes relative."""
    if not isinstance(argument, Path):
        return str(argument)
    try:
        return str(argument.relative_to(Path.cwd()))
    except ValueError:
        return str(argument)
