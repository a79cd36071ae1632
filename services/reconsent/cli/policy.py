"""`policy …`: check, compare, preview and publish policy versions."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.policy_list import list_, show
from reconsent.cli.policy_publish import preview, publish
from reconsent.cli.policy_report import as_json as changes_json
from reconsent.cli.policy_report import describe
from reconsent.cli.unknown_names import that_came_in
from reconsent.cli.with_program import with_program
from reconsent.domain.change import changes
from reconsent.files.drafts import Continued, continued
from reconsent.files.policy import Mistake, load, read
from reconsent.files.policy_checks import check

if TYPE_CHECKING:
    from reconsent.domain.policy import PolicyVersion
    from reconsent.program import Program

_FILE = click.Path(path_type=Path)
_HAS_MISTAKES = 2


@click.group(cls=terminal.Commands)
def policy() -> None:
    """Check, compare, preview, publish and list policy versions."""


@policy.command("check")
@click.argument("file", type=_FILE)
@terminal.json_option
@with_program
def check_(program: Program, file: Path, *, as_json: bool) -> int:
    """Report every mistake in a policy FILE, one per line; exit 2 if there is any."""
    from reconsent.words import flaws  # noqa: PLC0415 -- loads the page templates
    from reconsent.words.phrases import phrase_of  # noqa: PLC0415

    reading = read(file)
    version, found, unknown = reading.version, Continued(None), list[Mistake]()
    with program.database.connection() as connection:
        policies = program.versions.now(connection)
        if version:
            found = continued(version, file, policies.by_name.get(version.policy))
            came_in = that_came_in(connection, policies, found.line, version)
            unknown = [reading.mistake(*one) for one in came_in]
    findings = check(reading, found.line, policies.owners, phrase_of, flaws)
    findings = replace(findings, warnings=(*findings.warnings, *unknown))
    if as_json:
        terminal.document(
            {
                "mistakes": [asdict(mistake) for mistake in findings.mistakes],
                "warnings": [asdict(warning) for warning in findings.warnings],
                "predecessor": _predecessor(version, found),
            }
        )
    else:
        for mistake in findings.mistakes:
            terminal.complain(str(mistake))
        for warning in findings.warnings:
            terminal.complain(f"{warning} (warning)")
        if found.differs and version:
            terminal.complain(
                f"{found.differs}: differs from what is published as {version.follows}; "
                f"{file} was compared with what is published (warning)"
            )
        if not findings.mistakes:
            click.echo(f"{file}: no mistakes{_compared(version, found)}")
    return _HAS_MISTAKES if findings.mistakes else 0


def _predecessor(version: PolicyVersion | None, found: Continued) -> dict[str, str | None] | None:
    """Return which version was taken for the one that is followed; None if there is none."""
    if not version or not found.line or version.follows not in found.line.by_name:
        return None
    return {"version": version.follows, "file": str(found.file) if found.file else None}


def _compared(version: PolicyVersion | None, found: Continued) -> str:
    taken = _predecessor(version, found)
    if taken is None:
        return ""
    if taken["file"] is None:
        return f"; compared with {taken['version']} as published"
    return f"; compared with {taken['version']} in {taken['file']}, which is not published"


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


policy.add_command(list_)
policy.add_command(show)
policy.add_command(preview)
policy.add_command(publish)
