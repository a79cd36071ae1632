"""The command line: one group, and one place where errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import click

from reconsent.cli.addresses import addresses_group
from reconsent.cli.consents import consents
from reconsent.cli.dead_letters import dead_letters_group
from reconsent.cli.demo import demo
from reconsent.cli.erasures import erasures
from reconsent.cli.explain import explain
from reconsent.cli.import_and_emit import emit, import_
from reconsent.cli.mail_report import mail_report
from reconsent.cli.migrate import migrate
from reconsent.cli.notices import notices
from reconsent.cli.permit import permit
from reconsent.cli.policy import policy
from reconsent.cli.release import release
from reconsent.cli.run import run_services, up
from reconsent.cli.status import status
from reconsent.cli.topics import topics
from reconsent.config import Settings, settings, unread
from reconsent.domain.errors import BadInputError, OutsideError, ReconsentError
from reconsent.files.policy import PolicyFileError
from reconsent.terminal import Commands, complain

if TYPE_CHECKING:
    from reconsent.program import Program

INTERRUPTED = 130


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reconsent")
def cli() -> None:
    """Ask people before their data is used in a new way, and prove what they said.

    Try it: reconsent demo. Exit codes: 0 done, 1 the answer is no, 2 bad input (nothing was
    changed), 3 something outside failed (safe to run again).
    """


for _command in (
    demo, up, run_services, migrate, policy, release, import_, emit, mail_report, permit, explain,
    notices, consents, erasures, addresses_group, status, dead_letters_group, topics,
):  # fmt: skip
    cli.add_command(_command)


def run(arguments: Sequence[str], make: Callable[[Settings], Program]) -> int:
    """Run one command; return its exit code. A failure prints one line on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Database failures are reported where they are handled.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        return _invoke(arguments, make)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return 0
    except Exception as error:  # noqa: BLE001 -- Python would exit with 1: "the answer is no"
        return _report(error)


def _invoke(arguments: Sequence[str], make: Callable[[Settings], Program]) -> int:
    context = _Lazy(make)
    # Not cli.main, which exits with 1 ("the answer is no") on a closed pipe.
    with context, cli.make_context("reconsent", list(arguments), obj=context) as called:
        result = cli.invoke(called)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    """Report an error in one line, with a traceback if it is a bug; return the exit code."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            complain(error.format_message())
            return BadInputError.exit_code
        case click.ClickException():
            complain(f"reconsent: {' '.join(error.format_message().split())}")
            return BadInputError.exit_code
        case PolicyFileError():
            complain(str(error))
            return error.exit_code
        case ReconsentError():
            complain(f"reconsent: {error}")
            return error.exit_code
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            complain(f"reconsent: {place}{error.strerror or error}")
            _discard_output()
            return OutsideError.exit_code
    complain("".join(traceback.format_exception(error)).rstrip())
    return OutsideError.exit_code


def _discard_output() -> None:
    """Discard buffered output: flushing it again at exit would change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command line of this process."""
    from reconsent.program import Program  # noqa: PLC0415 -- --help needs none of its parts

    sys.exit(run(sys.argv[1:], Program))


class _Lazy:
    """The program, made on first use: --help needs no settings."""

    def __init__(self, make: Callable[[Settings], Program]) -> None:
        self._make = make
        self._program: Program | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.__exit__(None, None, None)

    def __call__(self, read: Callable[[], Settings] = settings) -> Program:
        if self._program is None:
            for warning in unread():
                complain(warning)
            self._program = self._make(read())
        return self._program
