"""Importing lists of suppressed addresses: recorded as reports that name an address. RULES 15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent import terminal
from reconsent.cli.importing import AGAIN
from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.errors import OutsideError
from reconsent.domain.received import Received
from reconsent.facts.record.imports import Progress
from reconsent.facts.record.recorder import Recorder
from reconsent.files.suppressions import read_suppressions
from reconsent.mail.address import without_addresses

if TYPE_CHECKING:
    from reconsent.files.suppression_forms import Said
    from reconsent.files.suppressions import Line
    from reconsent.program import Program

_AT_ONCE: Final = 5_000
_LONGEST_REPLY: Final = 500


def import_suppressions(program: Program, path: str, why: Said | None) -> Progress:
    """Record a file of suppressed addresses, after all of it was checked; return the counts.

    Recording it again changes nothing, so an interrupted import is begun again.
    """
    name, lines = read_suppressions(path, why, _cleaned)
    usable = [line for line in lines if _is_usable(line, name)]
    recorder = Recorder(program.versions, program.signer.address_hash, program.now)
    new = unchanged = 0
    with terminal.steps("import suppressions", len(usable)) as progress:
        for start in range(0, len(usable), _AT_ONCE):
            some = usable[start : start + _AT_ONCE]
            received = [Received("mail-events", "import", "", line.event) for line in some]
            try:
                counts = program.database.transaction(
                    lambda connection: recorder.record(connection, received)  # noqa: B023 -- called now
                )
            except OutsideError as error:
                raise OutsideError(f"{error}; {AGAIN}") from error
            new += counts.new
            unchanged += counts.unchanged
            progress.advance(len(some))
    refused = len(lines) - len(usable)
    return Progress(events=len(lines), new=new, unchanged=unchanged, refused=refused)


def _cleaned(reply: str) -> str:
    return without_addresses(reply)[:_LONGEST_REPLY]


def _is_usable(line: Line, name: str) -> bool:
    """Tell whether an address can be one of a mailbox; complain if it cannot."""
    try:
        usable_address(line.event.given_email or "")
    except UnusableAddressError as error:
        terminal.complain(f"{name}:{line.number}: email: {error}")
        return False
    return True
