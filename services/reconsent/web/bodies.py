"""Request bodies, each read with a limit.

Every route is a BoundedRoute, and LIMITS has a limit for each route that takes a body. No more than
that is kept in memory, with or without a Content-Length. Dependencies are resolved in parameter
order: what authorizes a request comes before Body and Form.
"""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from typing_extensions import override

from reconsent.web.turns import TO_TAKE, in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Response
    from starlette.types import Message, Receive

_FORM: Final = 64 * 1024

LIMITS: Final = {
    "/c/{token}": _FORM,
    "/c/{token}/answers": _FORM,
    # Any body unsubscribes, so the limit is generous.
    "/u/{token}": 1024 * 1024,
    "/u/{token}/again": _FORM,
    # The maximum number of checks, each with names of maximum length.
    "/v1/permissions": 16_000_000,
    # Ten times SendGrid's largest request.
    "/hooks/sendgrid": 8_000_000,
}
"""The maximum body of each route in bytes, by path; 0 for a route that is not listed."""


class BoundedRoute(APIRoute):
    """A route that responds 413 to a body over its limit, and 400 to an incomplete one.

    What is not a coroutine is done in a thread, when it is its turn.
    """

    @override
    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        is_quick = iscoroutinefunction(endpoint)
        super().__init__(path, endpoint if is_quick else _taking_turns(endpoint), **more)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        limit = LIMITS.get(self.path_format, 0)

        async def bounded(request: Request) -> Response:
            TO_TAKE.set(request.app.state.room.of(request))
            try:
                return await handle(Request(request.scope, _bounded(request, limit)))
            except ClientDisconnect as error:
                raise HTTPException(400, "the body is incomplete") from error

        return bounded


def _taking_turns(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def in_its_turn(**arguments: Any) -> Any:  # noqa: ANN401 -- what the endpoint returns
        return await in_turn(endpoint, **arguments)

    return in_its_turn


def _bounded(request: Request, limit: int) -> Receive:
    """Wrap the receiving of a body so that it raises 413 beyond a limit."""
    content_length = request.headers.get("content-length", "")
    too_large = HTTPException(413, f"the body is larger than {limit} bytes")
    size = 0

    async def receive() -> Message:
        nonlocal size
        if content_length.isdecimal() and int(content_length) > limit:
            raise too_large
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large
        return message

    return receive


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]
"""The raw body of a request."""


def _form(body: Body) -> dict[str, str]:
    text = body.decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text).items()}


Form = Annotated[dict[str, str], Depends(_form)]
"""The fields of a submitted form; of repeated fields the last value counts."""
