"""The command that reads reports which come as mails: from a pipe, a file or a Maildir."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.domain.received import Received
from reconsent.facts.record.recorder import Recorder
from reconsent.mail.reports.folder import put_away, unread
from reconsent.mail.reports.reading import Reader

if TYPE_CHECKING:
    from reconsent.program import Program

_STDIN: Final = "-"
_LARGEST: Final = 16 * 1024 * 1024
_TOPIC: Final = "mail-events"


@click.command("mail-report")
@click.argument("source", metavar="FILE", type=click.Path())
@click.option("--recipient", metavar="ADDRESS", help="The address that the mail was delivered to.")
@click.option(
    "--only-signed", is_flag=True, help="Refuse a report without a return path that we signed."
)
@terminal.json_option
@with_program
def mail_report(
    program: Program, source: str, recipient: str | None, *, only_signed: bool, as_json: bool
) -> None:
    """Record a mail that reports a bounce, a delay, a delivery or a complaint.

    FILE is the mail (RFC 3464 or RFC 5965; - is standard input), or a Maildir: its new mails are
    read, and moved to cur. The same report again changes nothing.
    """
    reports = _Reports(program, Reader(program.return_path, only_signed=only_signed))
    if source != _STDIN and Path(source).is_dir():
        if recipient is not None:
            raise click.UsageError("--recipient is for one mail; a Maildir has many")
        reports.take_folder(Path(source))
    else:
        reports.take(source, recipient)
    counts = {name: reports.counts[name] for name in ("read", *_COUNTED)}
    if as_json:
        terminal.document(counts)
    else:
        read, *others = (f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        click.echo(f"{read}: {', '.join(others)}")


_COUNTED: Final = ("new", "unchanged", "refused", "not_ours")


class _Reports:
    """Records reports, one by one, and counts."""

    def __init__(self, program: Program, reader: Reader) -> None:
        self.counts: Counter[str] = Counter()
        self._program = program
        self._reader = reader
        self._recorder = Recorder(program.versions, program.signer.address_hash, program.now)

    def take(self, source: str, recipient: str | None = None) -> None:
        """Record a mail's report. Raises BadInputError, which names the file."""
        name = "standard input" if source == _STDIN else source
        try:
            events = self._reader.events(_content(source), recipient, self._program.now())
        except BadInputError as error:
            raise BadInputError(f"{name}: {error}") from error
        received = [
            Received(_TOPIC, "mail-report", event.provider_id or "", event) for event in events
        ]
        counts = self._program.database.transaction(
            lambda connection: self._recorder.record(connection, received)
        )
        for _, reason in counts.refused:
            terminal.complain(f"{name}: {reason}")
        self.counts += Counter(
            read=1,
            new=counts.new,
            unchanged=counts.unchanged,
            refused=len(counts.refused),
            not_ours=counts.not_ours,
        )

    def take_folder(self, folder: Path) -> None:
        """Record the new mails of a Maildir; name those that are not reports."""
        if not (folder / "new").is_dir():
            raise BadInputError(f"{folder}: is not a Maildir: it has no folder `new`")
        for mail in unread(folder):
            try:
                self.take(str(mail))
            except BadInputError as error:
                if not mail.exists():  # another process has just taken it
                    continue
                terminal.complain(str(error))
                self.counts += Counter(read=1, refused=1)
                put_away(mail, understood=False)
            else:
                put_away(mail, understood=True)


def _content(source: str) -> bytes:
    try:
        if source == _STDIN:
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadInputError(error.strerror or str(error)) from error
    if len(content) > _LARGEST:
        raise BadInputError(f"larger than {_LARGEST // 1024 // 1024} MB")
    return content
