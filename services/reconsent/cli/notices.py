"""`notices`: who was mailed, and who was not."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, get_args

import click

from reconsent import terminal
from reconsent.cli.asked_names import about_list
from reconsent.cli.notice_report import notice_lines
from reconsent.cli.with_program import with_program
from reconsent.domain.notice import State
from reconsent.facts.read.evidence import with_evidence
from reconsent.facts.read.notices import Filters, list_notices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.program import Program


@click.command()
@click.option("--property", "property_name")
@click.option("--account")
@click.option("--policy-version")
@click.option("--state", type=click.Choice(get_args(State)))
@click.option("--not-told", is_flag=True, help="Only who should have been mailed and was not.")
@click.option(
    "--after",
    type=click.UUID,
    metavar="NOTICE",
    help="Only what comes after this notice, to continue a list that was cut short.",
)
@click.option("--letters", is_flag=True, help="With the attempts, reports and mail of each.")
@terminal.json_option
@with_program
def notices(
    program: Program,
    /,
    *,
    as_json: bool,
    letters: bool,
    property_name: str | None,
    **given: Any,  # noqa: ANN401 -- the other filters
) -> None:
    """List notices, their states and what they ask, by property, account and version.

    Their ids are shown where the terminal has 120 columns, and by --json and --letters.
    """
    filters = Filters(property=property_name, **given)
    with program.database.one_moment() as connection:
        policies = program.versions.now(connection)
        found = list_notices(connection, program.cohorts, policies, filters)
        if letters:
            found = with_evidence(connection, found)
        first = list(islice(found, 1))
        _print(chain(first, found), letters=letters, as_json=as_json)
        if not first:
            for warning in about_list(
                connection,
                policies,
                property_name=property_name,
                account=given["account"],
                policy_version=given["policy_version"],
            ):
                terminal.complain(f"reconsent: {warning} (warning)")


def _print(found: Iterable[dict[str, Any]], *, letters: bool, as_json: bool) -> None:
    if not terminal.for_people(as_json=as_json):
        terminal.lines(found)
        return
    if letters:
        click.echo_via_pager(f"{line}\n" for notice in found for line in notice_lines(notice))
        return
    headings = ["property", "account", "version", "#", "kind", "state", "why", "settled", "asks"]
    with_ids = terminal.is_wide()
    terminal.table(
        headings + ["notice"] * with_ids,
        (
            (
                n["property"], n["account"], n["policy_version"], n["sequence"], n["kind"],
                n["state"], n["suppression"], n["settled"], len(n["asks"]) or None,
                *[n["notice"]] * with_ids,
            )
            for n in found
        ),
    )  # fmt: skip
