"""No route reads a body without a limit."""

from __future__ import annotations

from reconsent.web.bodies import LIMITS, BoundedRoute
from tests.routes import paths_with_body, routes


def test_every_route_has_a_limit() -> None:
    """Each route reads through the bounded reader, and each that takes a body states its limit."""
    assert [route.path for route in routes() if not isinstance(route, BoundedRoute)] == []
    assert paths_with_body() == sorted(LIMITS)
