"""`consents`: what an account said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.asked_names import no_account
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.facts.read.account_story import account_json
from reconsent.facts.read.ledger import account_ledger
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.domain.policy import Policy
    from reconsent.program import Program


@click.command()
@click.argument("account")
@click.option("--property", "property_name", required=True)
@terminal.json_option
@with_program
def consents(program: Program, account: str, property_name: str, *, as_json: bool) -> None:
    """List what an account said, oldest first: the ledger."""
    for_people = terminal.for_people(as_json=as_json)

    def work(connection: Connection) -> list[dict[str, Any]]:
        policies = program.versions.now(connection)
        if for_people:
            story = account_json(connection, program.cohorts, policies, property_name, account)
            entries = _in_words(story, policies.of_property(property_name)) if story else None
        else:
            entries = account_ledger(connection, policies, property_name, account)
        if entries is None:
            raise BadInputError(no_account(policies, property_name, account))
        return entries

    entries = program.database.transaction(work)
    if not for_people:
        terminal.lines(entries)
        return
    terminal.table(
        ("decided", "state", "use", "channel"),
        ((e["decided"], e["event_state"], terminal.use_in_words(e), e["channel"]) for e in entries),
    )


def _in_words(story: dict[str, Any], policy: Policy | None) -> list[dict[str, Any]]:
    """Return an account's ledger entries with the time of each as `explain` shows it."""
    from reconsent.cli.explain_times import in_zone, moment, zone_of  # noqa: PLC0415 -- loads words

    where = zone_of(story, policy.latest if policy else None)
    said = in_zone(story["consents"], where)
    return [entry | {"decided": moment(entry["decided_at"])} for entry in said]
