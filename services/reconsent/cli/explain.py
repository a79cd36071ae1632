"""`explain`: one account's story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.asked_names import no_account
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.facts.read.account_story import account_json
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.domain.policy import Policy
    from reconsent.program import Program


@click.command()
@click.argument("account")
@click.option("--property", "property_name", required=True)
@terminal.json_option
@with_program
def explain(program: Program, account: str, property_name: str, *, as_json: bool) -> None:
    """Tell one account's story, with the rule behind each step."""
    from reconsent.cli.explain_report import story  # noqa: PLC0415 -- loads the words of pages

    def work(connection: Connection) -> tuple[dict[str, Any], Policy | None]:
        policies = program.versions.now(connection)
        found = account_json(connection, program.cohorts, policies, property_name, account)
        if found is None:
            raise BadInputError(no_account(policies, property_name, account))
        return found, policies.of_property(property_name)

    found, policy = program.database.transaction(work)
    if as_json:
        terminal.document(found)
    else:
        click.echo("\n".join(story(found, policy.latest if policy else None)))
