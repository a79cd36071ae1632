"""`policy …`: check, compare, preview and publish policy versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from reconsent import terminal
from reconsent.cli.policy_report import as_json as changes_json
from reconsent.cli.policy_report import describe
from reconsent.cli.with_program import with_program
from reconsent.domain.change import as_event, changes, content_hash
from reconsent.domain.cloudevents import pack
from reconsent.domain.errors import BadInputError
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.facts.record.publishing import publish as record
from reconsent.facts.versions import Policies
from reconsent.files.policy import PolicyFile, PolicyFileError, check, load, read

if TYPE_CHECKING:
    from reconsent.program import Program

Result = TypeVar("Result")
_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_HAS_MISTAKES = 2
_MAILS = 20


@click.group()
def policy() -> None:
    """Check, compare, preview and publish policy versions."""


@policy.command("check")
@click.argument("file", type=_FILE)
@terminal.json_option
@with_program
def check_(program: Program, file: Path, *, as_json: bool) -> int:
    """Report every mistake in a policy FILE, one per line; exit 2 if there is any."""
    from reconsent.words import flaws  # noqa: PLC0415 -- loads the page templates
    from reconsent.words.phrases import has_phrase  # noqa: PLC0415

    reading = read(file)
    with program.database.connection() as connection:
        policies = program.versions.now(connection)
    version = reading.version
    line = _line(version, file, policies) if version else None
    findings = check(reading, line, policies.owners, has_phrase, flaws)
    if as_json:
        terminal.document(
            {
                "mistakes": [asdict(mistake) for mistake in findings.mistakes],
                "warnings": [asdict(warning) for warning in findings.warnings],
            }
        )
    else:
        for mistake in findings.mistakes:
            terminal.complain(str(mistake))
        for warning in findings.warnings:
            terminal.complain(f"{warning} (warning)")
        if not findings.mistakes:
            click.echo(f"{file}: no mistakes")
    return _HAS_MISTAKES if findings.mistakes else 0


def _line(version: PolicyVersion, file: Path, policies: Policies) -> Policy | None:
    """Return the line that a version continues: published versions, then drafts beside its file."""
    published = policies.by_name.get(version.policy)
    versions = published.versions if published else ()
    if version.follows is None or any(
        v.version in (version.follows, version.version) for v in versions
    ):
        return published
    drafts = {draft.version: draft for draft in _drafts(file, version.policy)}
    line: list[PolicyVersion] = []
    follows: str | None = version.follows
    while follows in drafts and drafts[follows] not in line:
        line.insert(0, drafts[follows])
        follows = drafts[follows].follows
    reached = versions[-1].version if versions else None
    if not line or follows != reached:
        return published
    return Policy(name=version.policy, versions=(*versions, *line))


def _drafts(file: Path, name: str) -> list[PolicyVersion]:
    """Read the other versions of a policy in the folder of a file."""
    drafts = []
    for path in sorted({*file.parent.glob("*.yaml"), *file.parent.glob("*.yml")} - {file}):
        try:
            reading = read(path)
        except PolicyFileError:
            continue
        if reading.version and not reading.mistakes and reading.version.policy == name:
            drafts.append(reading.version)
    return drafts


@policy.command("diff")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@terminal.json_option
def diff(old: Path, new: Path, *, as_json: bool) -> int:
    """Show what the NEW policy file changes from the OLD one; exit 1 if anything."""
    before, after = load(old).version, load(new).version
    found = changes(before, after)
    if as_json:
        terminal.document(
            {
                "old": before.version,
                "new": after.version,
                "material": any(change.material for change in found),
                "stored_data": any(change.stored_data for change in found),
                "changes": changes_json(found),
            }
        )
    else:
        click.echo("\n".join(describe(found, before, after)))
    return 1 if found else 0


@policy.command("preview")
@click.argument("file", type=_FILE)
@click.option("--mail", type=_FOLDER, help="Write the mails and pages into this folder.")
@click.option(
    "--at-most",
    type=click.IntRange(min=1),
    default=_MAILS,
    show_default=True,
    help="With --mail: how many different mails, the most frequent first.",
)
@terminal.json_option
@with_program
def preview(
    program: Program, file: Path, *, mail: Path | None, at_most: int, as_json: bool
) -> None:
    """Count who would be asked, informed and left out if a policy FILE were published now."""
    from reconsent.workers.preview import preview as count  # noqa: PLC0415 -- loads the mail templates

    loaded = load(file)
    found = _placed(loaded, file, lambda: count(program.database, loaded.version))
    told = _write_mails(program, loaded.version, mail, at_most) if mail else []
    if as_json:
        terminal.document(asdict(found))
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
    for line in told:
        click.echo(line)


def _write_mails(program: Program, version: PolicyVersion, folder: Path, at_most: int) -> list[str]:
    """Write the mails of a draft; return what to say of them."""
    from reconsent.workers.preview_mails import mails, write  # noqa: PLC0415 -- loads the templates

    settings = program.settings
    found = mails(program.database, version)
    written = write(
        found[:at_most], folder, public_url=settings.public_url, sender=settings.mail_from
    )
    told = [f"{each.mail.accounts:,} would get {each.files[0]}" for each in written]
    left = found[at_most:]
    if left:
        accounts = sum(mail.accounts for mail in left)
        told.append(
            f"not written: {len(left):,} of the mails, which {accounts:,} accounts would get"
        )
    return told or ["nobody would get a mail, so none was written"]


@policy.command("publish")
@click.argument("file", type=_FILE)
@terminal.json_option
@with_program
def publish(program: Program, file: Path, *, as_json: bool) -> None:
    """Publish a policy FILE. A published version never changes; repeating it has no effect."""
    loaded = load(file)
    version = loaded.version
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
        click.echo("next: reconsent run intake planner dispatcher --until-idle")
    else:
        click.echo(f"{version.policy} {version.version} is already published; nothing changed")


def _placed(loaded: PolicyFile, file: Path, work: Callable[[], Result]) -> Result:
    """Call `work` for a policy file's version; add file and line to a BadInputError."""
    try:
        return work()
    except BadInputError as error:
        field = str(error).partition(":")[0]
        place = tuple(int(part) if part.isdigit() else part for part in field.split("."))
        raise BadInputError(f"{file}:{loaded.lines(place)}: {error}") from error
