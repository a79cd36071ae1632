"""`permit`: whether data may be used."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from reconsent import terminal
from reconsent.cli.unknown_names import warn_of_unknown_checks
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import mistake
from reconsent.facts.read.checks import Check, CheckFields, parse_check, refuse_past
from reconsent.facts.read.permissions import Permissions
from reconsent.files.events import STDIN
from reconsent.files.line_form import given_twice, wrong_form
from reconsent.files.lines import lines_of
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.program import Program

_AT_ONCE = 10_000
_OPTIONS = {"data_category": "--category", "data_use": "--use", "at": "--at"}


@click.command()
@click.argument("account", required=False)
@click.option("--property", "property_name", help="The account's web site or app.")
@click.option("--category", help="The data category, such as user.contact.email.")
@click.option("--use", help="The data use, such as marketing.communications.email.")
@click.option("--collected-under", help="The version; if omitted, it is unknown.")
@click.option("--recipient", help="Who would use it; by default the controller in force.")
@click.option("--at", help="When it would be used, RFC 3339; by default now.")
@click.option("--file", "file", type=click.Path(), help="Many checks as NDJSON; - reads stdin.")
@click.option("--evidence", is_flag=True, help="With --file: include the evidence of each answer.")
@terminal.json_option
@with_program
def permit(program: Program, /, **given: Any) -> int:  # noqa: ANN401 -- click's parameters
    """Say whether an account's data may be used, and why. Exit 0 allowed, 1 denied."""
    as_json, file, evidence = given.pop("as_json"), given.pop("file"), given.pop("evidence")
    if file:
        unwanted = [name for name, value in given.items() if value is not None]
        if unwanted:
            raise click.UsageError(
                "--file reads every check from the file; omit the other arguments"
            )
        _permit_many(program, file, evidence=evidence)
        return 0
    names = {
        "account": "ACCOUNT", "property_name": "--property", "category": "--category",
        "use": "--use",
    }  # fmt: skip
    for name, option in names.items():
        if given[name] is None:
            raise click.UsageError(f"{option} is missing; --file reads many checks from a file")
    given["property"] = given.pop("property_name")
    given["data_category"] = given.pop("category")
    given["data_use"] = given.pop("use")
    try:
        check = Check.model_validate(given).model_dump()
        refuse_past(check, program.now())
    except ValidationError as error:
        field, _, what = mistake(error).partition(": ")
        raise BadInputError(f"{_OPTIONS.get(field, field)}: {what}") from error
    [answer] = _answers(program, Permissions(program.cohorts), [check], evidence=True)
    warn_of_unknown_checks(program, "reconsent", [check])
    found = json.loads(answer)
    if as_json:
        terminal.document(found)
    else:
        suppression = f" ({found['suppression']})" if found["suppression"] else ""
        verdict = "allowed" if found["allowed"] else "denied"
        click.echo(f"{verdict}: {found['reason']}{suppression}, rule {found['evidence']['rule']}")
    return 0 if found["allowed"] else 1


def _answers(
    program: Program, permissions: Permissions, checks: list[CheckFields], *, evidence: bool
) -> list[bytes]:
    def work(connection: Connection) -> list[bytes]:
        policies = program.versions.now(connection)
        return permissions.answer(connection, checks, policies, program.now(), evidence=evidence)

    return program.database.transaction(work)


def _permit_many(program: Program, file: str, *, evidence: bool) -> None:
    """Answer checks in order; a malformed line is reported before any answer is printed."""
    name = "standard input" if file == STDIN else file
    try:
        with nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb") as content:
            checks = list(_checks(lines_of(content, name), name, program.now()))
    except OSError as error:
        raise BadInputError(f"{name}: {error.strerror}") from error
    permissions = Permissions(program.cohorts)
    for part in _batches(checks):
        terminal.json_lines(_answers(program, permissions, part, evidence=evidence))
    warn_of_unknown_checks(program, name, checks)


def _batches(checks: list[CheckFields]) -> Iterator[list[CheckFields]]:
    return (checks[start : start + _AT_ONCE] for start in range(0, len(checks), _AT_ONCE))


def _checks(lines: Iterable[tuple[int, bytes]], name: str, now: datetime) -> Iterator[CheckFields]:
    for number, line in lines:
        if not line.strip():
            continue
        if wrong := wrong_form(line):
            raise BadInputError(f"{name}:{number}: {wrong}")
        if twice := given_twice(line):
            raise BadInputError(f"{name}:{number}: {twice}: is given twice")
        try:
            check = parse_check(line)
            refuse_past(check, now)
        except ValidationError as error:
            raise BadInputError(f"{name}:{number}: {mistake(error)}") from error
        except BadInputError as error:
            raise BadInputError(f"{name}:{number}: {error}") from error
        yield check
