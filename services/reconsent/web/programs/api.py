"""The API under /v1, for programs that are about to use data. Every call needs the token."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import override

from reconsent.domain.errors import BadInputError
from reconsent.facts.read.account_story import account_json
from reconsent.facts.read.checks import CHECK_DICT, Check, CheckFields, as_dict, refuse_past
from reconsent.store.postgres import Connection
from reconsent.web.access import AuthorizedRoute, Context, InjectedContext, context_of
from reconsent.web.turns import in_turn

_MOST_CHECKS: Final = 10_000
_PATH: Final = "/v1/permissions"

router = APIRouter(route_class=AuthorizedRoute)

One = TypeVar("One")
_Several = Annotated[list[One], Field(max_length=_MOST_CHECKS)]


class Checks(BaseModel):
    """Permission checks, and whether their answers include the evidence."""

    model_config = ConfigDict(extra="forbid")

    checks: _Several[Check]
    evidence: bool = False


class Answers(BaseModel):
    """The answers, in the order of the checks."""

    answers: list[dict[str, Annotated[Any, "JSON"]]]


BODY: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(as_dict(Checks, checks=_Several[CHECK_DICT]))
"""The body of a request for permissions, with dicts instead of models."""


class _FastRoute(APIRoute):
    """A route that validates checks as dicts, which takes a fraction of the time.

    Whatever it cannot read that way goes through FastAPI, which finds the mistake.
    """

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_fast(request: Request) -> Response:
            content_type, _, _ = request.headers.get("content-type", "").partition(";")
            if content_type.strip().lower() == "application/json":
                body = await request.body()
                response = await in_turn(_read_fast, body, context_of(request))
                if response is not None:
                    return response
            return await handle(request)

        return read_fast


class _PermissionsRoute(AuthorizedRoute, _FastRoute):
    """Reads fast what has been authorized and is within the limit."""


def _read_fast(body: bytes, context: Context) -> Response | None:
    try:
        read = BODY.validate_json(body)
    except ValidationError:
        return None
    return _answer(read["checks"], context, evidence=read.get("evidence", False))


def permissions(checks: Checks, context: InjectedContext) -> Response:
    """Return whether data may be used, with the reason."""
    fields = [check.model_dump() for check in checks.checks]
    return _answer(fields, context, evidence=checks.evidence)


router.add_api_route(
    _PATH,
    permissions,
    methods=["POST"],
    response_model=Answers,
    route_class_override=_PermissionsRoute,
)


@router.get("/openapi.json", include_in_schema=False)
def description(request: Request) -> JSONResponse:
    """Return the OpenAPI description of the calls for programs and of the probes."""
    return JSONResponse(request.app.openapi())


def _answer(checks: Sequence[CheckFields], context: Context, *, evidence: bool) -> Response:
    now = context.now()
    _refuse_past(checks, now)

    def work(connection: Connection) -> list[bytes]:
        policies = context.versions.now(connection)
        return context.permissions.answer(connection, checks, policies, now, evidence=evidence)

    answers = context.database.transaction(work)
    content = b'{"answers":[' + b",".join(answers) + b"]}"
    return Response(content, media_type="application/json")


def _refuse_past(checks: Sequence[CheckFields], now: datetime) -> None:
    for position, check in enumerate(checks):
        try:
            refuse_past(check, now)
        except BadInputError as error:
            raise BadInputError(f"checks.{position}.{error}") from error


@router.get("/v1/accounts/{property_name}/{account:path}")
def account(
    property_name: str, account: Annotated[str, Path()], context: InjectedContext
) -> dict[str, Any]:
    """Return all that is known and decided about one account, without its name or address."""

    def work(connection: Connection) -> dict[str, Any] | None:
        if "\0" in property_name + account:
            return None  # no key holds NUL, and no query
        policies = context.versions.now(connection)
        return account_json(connection, context.cohorts, policies, property_name, account)

    found = context.database.transaction(work)
    if found is None:
        raise HTTPException(404, "no such account")
    return found
