"""Reading the bodies of requests, none of them without a limit.

Every route is a BoundedRoute, and LIMITS has a limit for each that takes a body. No more of a body
than that is kept in memory, whether its length is stated or not. A route's dependencies are met in
the order of its parameters: what lets a request in comes before Body and Form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Response
    from starlette.types import Message, Receive

_FORM: Final = 64 * 1024

LIMITS: Final = {
    "/c/{token}": _FORM,
    "/c/{token}/answers": _FORM,
    # Any body unsubscribes.
    "/u/{token}": 1024 * 1024,
    # The most checks that are answered at once, each with the longest names.
    "/v1/permissions": 16_000_000,
    # Ten times what SendGrid posts at once.
    "/hooks/sendgrid": 8_000_000,
}
"""The most bytes that a route reads, by its path; a route that is not listed reads none."""


class BoundedRoute(APIRoute):
    """A route that answers 413 to a body over its limit, and 400 to one that ends early."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        limit = LIMITS.get(self.path_format, 0)

        async def bounded(request: Request) -> Response:
            try:
                return await handle(Request(request.scope, _bounded(request, limit)))
            except ClientDisconnect as error:
                raise HTTPException(400, "the body ended early") from error

        return bounded


def _bounded(request: Request, limit: int) -> Receive:
    """Receive a request's body up to a limit."""
    stated = request.headers.get("content-length", "")
    too_large = HTTPException(413, f"the body is larger than {limit} bytes")
    size = 0

    async def receive() -> Message:
        nonlocal size
        if stated.isdecimal() and int(stated) > limit:
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
"""A request's body as it came."""


def _form(body: Body) -> dict[str, str]:
    text = body.decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text).items()}


Form = Annotated[dict[str, str], Depends(_form)]
"""The fields of the form that a page sends; the last value of each counts."""
