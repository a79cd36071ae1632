"""`policy preview` and `policy publish`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from reconsent import terminal
from reconsent.cli.rollout import rollout, spoken
from reconsent.cli.with_program import with_program
from reconsent.domain.change import as_event, content_hash
from reconsent.domain.cloudevents import pack
from reconsent.domain.errors import BadInputError
from reconsent.facts.read.names import any_account
from reconsent.facts.record.publishing import publish as record
from reconsent.files.policy import PolicyFile, load, read
from reconsent.files.policy_checks import check, refuse_slips

if TYPE_CHECKING:
    from reconsent.domain.policy import PolicyVersion
    from reconsent.program import Program
    from reconsent.workers.preview import Preview

Result = TypeVar("Result")
_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_MAILS = 20


@click.command("preview")
@click.argument("file", type=_FILE)
@click.option("--mail", type=_FOLDER, help="Write the mails and pages into this folder.")
@click.option(
    "--at-most",
    type=click.IntRange(min=1),
    help=f"With --mail: how many different mails, the most frequent first [default: {_MAILS}].",
)
@terminal.json_option
@with_program
def preview(
    program: Program, file: Path, *, mail: Path | None, at_most: int | None, as_json: bool
) -> None:
    """Count who would be asked, informed and left out if a policy FILE were published now."""
    from reconsent.workers.preview import preview as count  # noqa: PLC0415 -- loads the mail templates

    if at_most and not mail:
        raise click.UsageError("--at-most needs --mail")
    loaded = _loaded(program, file)
    found = _placed(loaded, file, lambda: count(program.database, loaded.version))
    mails = _write_mails(program, loaded.version, mail, at_most or _MAILS) if mail else []
    if as_json:
        takes = rollout(found.choice + found.information, program.settings.mails_per_second)
        seconds = None if takes is None else round(takes.total_seconds())
        terminal.document(asdict(found) | {"rollout_seconds": seconds})
        return
    terminal.table(
        ("", "accounts"),
        [
            ("would be asked for a choice", f"{found.choice:,}"),
            ("would be sent information", f"{found.information:,}"),
            *((f"left out: {reason}", f"{n:,}") for reason, n in found.suppressed.items()),
            ("not affected", f"{found.untouched:,}"),
            ("total", f"{found.accounts:,}"),
        ],
    )
    for line in (*_consequences(program, loaded.version, found), *mails):
        click.echo(line)


def _until_yes(found: Preview) -> str:
    """Say for how many accounts uses end, and how many of them are asked."""
    accounts = terminal.plural(found.ending, "account")
    if found.ending_asked == found.ending:
        return f"{accounts}, until they say yes"
    if not found.ending_asked:
        return f"{accounts}, and nobody is asked"
    others = found.ending - found.ending_asked
    return f"{accounts}: {found.ending_asked:,} until they say yes; {others:,} will not be asked"


def _consequences(program: Program, version: PolicyVersion, found: Preview) -> Iterator[str]:
    """Yield what ends, what goes on, and how long it takes to tell everybody."""
    day = f"{version.effective_at:%Y-%m-%d}"
    if found.ending:
        yield (
            f"another controller: from {day} on, what the earlier one may do with data already held"
            f" is no permission for the new one; this concerns {_until_yes(found)}"
        )
    if found.continuing:
        accounts = terminal.plural(found.continuing, "account")
        yield f"what this version drops stays allowed for data already held, of {accounts}"
    pace = program.settings.mails_per_second
    takes = rollout(found.choice + found.information, pace)
    if takes is None:
        return
    yield f"at {pace:g} {'mail' if pace == 1 else 'mails'} a second, sending takes {spoken(takes)}"
    left = version.effective_at - program.now()
    if timedelta(0) < left < takes:
        yield f"that is longer than until it takes effect, which is in {spoken(left)}"


def _write_mails(program: Program, version: PolicyVersion, folder: Path, at_most: int) -> list[str]:
    """Write the mails of a draft; return what to say of them."""
    from reconsent.workers.preview_mails import mails, write  # noqa: PLC0415 -- loads the templates

    settings = program.settings
    found = mails(program.database, version)
    written = write(
        found[:at_most], folder, public_url=settings.public_url, sender=settings.mail_from
    )
    lines = [f"{each.mail.accounts:,} would get {each.files[0]}" for each in written]
    left = found[at_most:]
    if left:
        accounts = sum(mail.accounts for mail in left)
        lines.append(
            f"{terminal.plural(len(left), 'more mail')} for {terminal.plural(accounts, 'account')}:"
            " not written, because of --at-most"
        )
    return lines or ["nobody would get a mail, so none was written"]


@click.command("publish")
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@terminal.json_option
@with_program
def publish(program: Program, file: Path, *, yes: bool, as_json: bool) -> int:
    """Publish a policy FILE. A published version never changes; repeating it has no effect.

    Repeats the warnings of `policy check`. If there are any, asks for confirmation on a terminal;
    the exit code is 1 if it is not given.
    """
    loaded = _loaded(program, file)
    version = loaded.version
    if _warned(program, file, version) and not yes and sys.stdin.isatty():
        question = f"Publish {version.policy} {version.version} as it is, permanently?"
        if not click.confirm(question, err=True):
            terminal.complain("nothing was published")
            return 1
    new = _placed(
        loaded,
        file,
        lambda: program.database.transaction(
            lambda connection: record(connection, version, program.versions)
        ),
    )
    published = program.database.transaction(program.versions.now)
    published_at = published.published_at[published.ids[version.policy, version.version]]
    announcement = pack(
        "policy-versions",
        as_event(version, published_at),
        source="urn:reconsent:publish",
        id=content_hash(version),
        time=program.now(),
        key=version.policy.encode(),
    )
    program.producer().send([announcement])
    if as_json:
        terminal.document({"policy": version.policy, "version": version.version, "new": new})
    elif new:
        click.echo(f"published {version.policy} {version.version}")
        click.echo(_next(program, version))
    else:
        click.echo(f"{version.policy} {version.version} is already published; nothing changed")
    return 0


def _warned(program: Program, file: Path, version: PolicyVersion) -> bool:
    """Print the warnings about a version that is not published yet; tell whether there are any."""
    from reconsent.words import flaws  # noqa: PLC0415 -- loads the page templates
    from reconsent.words.phrases import phrase_of  # noqa: PLC0415

    with program.database.connection() as connection:
        policies = program.versions.now(connection)
    line = policies.by_name.get(version.policy)
    if line and version.version in line.by_name:
        return False
    findings = check(read(file), line, policies.owners, phrase_of, flaws)
    for warning in () if findings.mistakes else findings.warnings:
        terminal.complain(f"{warning} (warning)")
    return bool(findings.warnings) and not findings.mistakes


def _loaded(program: Program, file: Path) -> PolicyFile:
    """Read a policy file. Raises PolicyFileError with its mistakes."""
    from reconsent.words import flaws  # noqa: PLC0415 -- loads the page templates

    loaded = load(file)
    with program.database.connection() as connection:
        policies = program.versions.now(connection)
    refuse_slips(loaded, file, policies.by_name.get(loaded.version.policy), flaws)
    return loaded


def _next(program: Program, version: PolicyVersion) -> str:
    """Return what to do after a version was published."""
    known = program.database.transaction(lambda c: any_account(c, version.properties))
    if not known:
        return (
            "no account is known at its properties yet: publish the versions that follow, then load"
            " accounts, collections and choices (reconsent import)"
        )
    work = "next: reconsent run planner dispatcher --until-idle"
    if version.effective_at <= program.now():
        return f"if another version follows it already, publish that one first; {work}"
    return work


def _placed(loaded: PolicyFile, file: Path, work: Callable[[], Result]) -> Result:
    """Call `work` for a policy file's version; add file and line to a BadInputError."""
    try:
        return work()
    except BadInputError as error:
        field = str(error).partition(":")[0]
        place = tuple(int(part) if part.isdigit() else part for part in field.split("."))
        raise BadInputError(f"{file}:{loaded.lines(place)}: {error}") from error
