"""`erasures`: what must be erased."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.facts.read.erasures import Erasure
from reconsent.facts.read.erasures import erasures as list_erasures

if TYPE_CHECKING:
    from reconsent.program import Program


@click.command()
@terminal.json_option
@with_program
def erasures(program: Program, *, as_json: bool) -> None:
    """List data that must be erased: what is held of minors."""
    columns = [field.name for field in fields(Erasure)]
    found = [asdict(one) for one in program.database.transaction(list_erasures)]
    if terminal.for_people(as_json=as_json):
        terminal.table(columns, ([row[name] for name in columns] for row in found))
    else:
        terminal.lines(found)
