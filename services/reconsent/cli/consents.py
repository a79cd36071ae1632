"""`consents`: what an account said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.facts.read.ledger import account_ledger
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.program import Program


@click.command()
@click.argument("account")
@click.option("--property", "property_name", required=True)
@terminal.json_option
@with_program
def consents(program: Program, account: str, property_name: str, *, as_json: bool) -> None:
    """List what an account said, oldest first: the ledger."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        policies = program.versions.now(connection)
        entries = account_ledger(connection, policies, property_name, account)
        if entries is None:
            raise BadInputError(f"{property_name}/{account}: no such account")
        return entries

    entries = program.database.transaction(work)
    if not terminal.for_people(as_json=as_json):
        terminal.lines(entries)
        return
    terminal.table(
        ("decided", "state", "use", "channel"),
        (
            (e["decided_at"], e["event_state"], terminal.use_in_words(e), e["channel"])
            for e in entries
        ),
    )
