"""The routes that the program serves."""

from __future__ import annotations

from fastapi.routing import APIRoute

from reconsent.web.app import ROUTERS


def routes() -> list[APIRoute]:
    """Return every route."""
    found = [route for router in ROUTERS for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in found)
    return [route for route in found if isinstance(route, APIRoute)]


def paths_with_body() -> list[str]:
    """Return the paths of the routes that accept a body."""
    return sorted(route.path for route in routes() if (route.methods or set()) - {"GET", "HEAD"})
