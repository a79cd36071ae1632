"""`migrate`: bring the database up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconsent.cli.with_program import with_program

if TYPE_CHECKING:
    from reconsent.program import Program


@click.command()
@with_program
def migrate(program: Program) -> None:
    """Apply the pending migrations."""
    applied = program.migrate()
    _ = program.database  # hashes addresses anew where it is needed
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
