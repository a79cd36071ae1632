"""The API under /v1, for programs that are about to use data. Every call needs the token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from reconsent.domain.errors import BadInputError
from reconsent.facts.read.account_story import account_json
from reconsent.facts.read.permissions import Check, PermissionJson, check_all, refuse_past
from reconsent.store.postgres import Connection
from reconsent.web.access import AuthorizedRoute, InjectedContext

_MOST_CHECKS = 10_000


router = APIRouter(route_class=AuthorizedRoute)


class Checks(BaseModel):
    """Permission checks, and whether their answers include the evidence."""

    model_config = ConfigDict(extra="forbid")

    checks: Annotated[list[Check], Field(max_length=_MOST_CHECKS)]
    evidence: bool = False


class Answers(BaseModel):
    """The answers, in the order of the checks."""

    answers: list[PermissionJson]


@router.post("/v1/permissions")
def permissions(checks: Checks, context: InjectedContext) -> Answers:
    """Return whether data may be used, with the reason."""
    now = context.now()
    for position, check in enumerate(checks.checks):
        try:
            refuse_past(check, now)
        except BadInputError as error:
            raise BadInputError(f"checks.{position}.{error}") from error

    def work(connection: Connection) -> list[PermissionJson]:
        policies = context.versions.now(connection)
        return check_all(connection, checks.checks, policies, now, evidence=checks.evidence)

    return Answers(answers=context.database.transaction(work))


@router.get("/v1/accounts/{property_name}/{account:path}")
def account(
    property_name: str, account: Annotated[str, Path()], context: InjectedContext
) -> dict[str, Any]:
    """Return all that is known and decided about one account, without its name or address."""

    def work(connection: Connection) -> dict[str, Any] | None:
        policies = context.versions.now(connection)
        return account_json(connection, context.cohorts, policies, property_name, account)

    found = context.database.transaction(work)
    if found is None:
        raise HTTPException(404, "no such account")
    return found
