"""Commands that ask: may this be used, who was told, what was said."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from reconsent import terminal
from reconsent.cli.explain_report import story
from reconsent.cli.letter_report import letter
from reconsent.cli.passing import with_program
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import mistake
from reconsent.facts.read.account_story import account_json
from reconsent.facts.read.erasures import Erasure
from reconsent.facts.read.erasures import erasures as list_erasures
from reconsent.facts.read.evidence import with_evidence
from reconsent.facts.read.ledger import account_ledger
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.read.permissions import Check, answer, refuse_past
from reconsent.files.events import STDIN, lines_of
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.program import Program

_AT_ONCE = 10_000
_OPTIONS = {"data_category": "--category", "data_use": "--use", "at": "--at"}
_STATES = (
    "planned", "due", "attempting", "accepted", "delivered", "bounced", "complained", "rejected",
    "unknown", "abandoned", "suppressed", "superseded",
)  # fmt: skip


@click.command()
@click.argument("account", required=False)
@click.option("--property", "property_name", help="The web site or app that the account is of.")
@click.option("--category", help="The data category, such as user.contact.email.")
@click.option("--use", help="The data use, such as marketing.communications.email.")
@click.option("--collected-under", help="The version; without it the version is unknown.")
@click.option("--recipient", help="Who would use it; by default the controller in force.")
@click.option("--at", help="When it would be used, RFC 3339; by default now.")
@click.option("--file", "file", type=click.Path(), help="Many checks as NDJSON; - reads stdin.")
@click.option("--evidence", is_flag=True, help="With --file: say what each answer rests on.")
@terminal.json_option
@with_program
def permit(program: Program, /, **given: Any) -> int:  # noqa: ANN401 -- click's parameters
    """Say whether an account's data may be used, and why. Exit 0 allowed, 1 denied."""
    as_json, file, evidence = given.pop("as_json"), given.pop("file"), given.pop("evidence")
    if file:
        unwanted = [name for name, value in given.items() if value is not None]
        if unwanted:
            raise click.UsageError("--file takes every check from the file; leave the rest out")
        _permit_many(program, file, evidence=evidence)
        return 0
    names = {
        "account": "ACCOUNT", "property_name": "--property", "category": "--category",
        "use": "--use",
    }  # fmt: skip
    for name, option in names.items():
        if given[name] is None:
            raise click.UsageError(f"{option} is missing")
    given["property"] = given.pop("property_name")
    given["data_category"] = given.pop("category")
    given["data_use"] = given.pop("use")
    try:
        check = Check.model_validate(given)
        refuse_past(check, program.now())
    except ValidationError as error:
        field, _, what = mistake(error).partition(": ")
        raise BadInputError(f"{_OPTIONS.get(field, field)}: {what}") from error
    (found,) = _answers(program, [check], evidence=True)
    if as_json:
        terminal.document(found)
    else:
        why = f" ({found['suppression']})" if found["suppression"] else ""
        said = "allowed" if found["allowed"] else "denied"
        click.echo(f"{said}: {found['reason']}{why}, rule {found['evidence']['rule']}")
    return 0 if found["allowed"] else 1


def _answers(program: Program, checks: list[Check], *, evidence: bool) -> list[dict[str, Any]]:
    def work(connection: Connection) -> list[dict[str, Any]]:
        policies = program.versions.now(connection)
        return answer(connection, checks, policies, program.now(), evidence=evidence)

    return program.database.transaction(work)


def _permit_many(program: Program, file: str, *, evidence: bool) -> None:
    """Answer checks in order; a malformed line is told before anything is answered."""
    name = "standard input" if file == STDIN else file
    try:
        with nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb") as content:
            checks = list(_checks(lines_of(content, name), name, program.now()))
    except OSError as error:
        raise BadInputError(f"{name}: {error.strerror}") from error
    for part in _batches(checks):
        terminal.lines(_answers(program, part, evidence=evidence))


def _batches(checks: list[Check]) -> Iterator[list[Check]]:
    return (checks[start : start + _AT_ONCE] for start in range(0, len(checks), _AT_ONCE))


def _checks(lines: Iterable[tuple[int, bytes]], name: str, now: datetime) -> Iterator[Check]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            check = Check.model_validate_json(line)
            refuse_past(check, now)
        except ValidationError as error:
            raise BadInputError(f"{name}:{number}: {mistake(error)}") from error
        except BadInputError as error:
            raise BadInputError(f"{name}:{number}: {error}") from error
        yield check


@click.command()
@click.argument("account")
@click.option("--property", "property_name", required=True)
@terminal.json_option
@with_program
def explain(program: Program, account: str, property_name: str, *, as_json: bool) -> None:
    """Tell one account's story, with the rule that decided each thing."""

    def work(connection: Connection) -> dict[str, Any] | None:
        policies = program.versions.now(connection)
        return account_json(connection, program.cohorts, policies, property_name, account)

    found = program.database.transaction(work)
    if found is None:
        raise BadInputError(f"{property_name}/{account}: no such account")
    if as_json:
        terminal.document(found)
    else:
        click.echo("\n".join(story(found)))


@click.command()
@click.option("--property", "property_name")
@click.option("--account")
@click.option("--policy-version")
@click.option("--state", type=click.Choice(_STATES))
@click.option("--not-told", is_flag=True, help="Who should have been mailed and was not.")
@click.option("--letters", is_flag=True, help="With the attempts, reports and words of each.")
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
    """List notices, their states and what they ask."""
    filters = Filters(property=property_name, **given)
    with program.database.connection() as connection:
        policies = program.versions.now(connection)
        found = list_notices(connection, program.cohorts, policies, filters)
        if letters:
            found = with_evidence(connection, found)
            if terminal.for_people(as_json=as_json):
                click.echo_via_pager(f"{line}\n" for notice in found for line in letter(notice))
                return
        if not terminal.for_people(as_json=as_json):
            terminal.lines(found)
            return
        terminal.table(
            ("property", "account", "version", "#", "kind", "state", "why", "settled", "asks"),
            (
                (
                    n["property"], n["account"], n["policy_version"], n["sequence"], n["kind"],
                    n["state"], n["suppression"], n["settled"], len(n["asks"]) or None,
                )
                for n in found
            ),
        )  # fmt: skip


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
        ("decided", "became", "about", "channel"),
        ((e["decided_at"], e["event_state"], terminal.used(e), e["channel"]) for e in entries),
    )


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
