"""The error pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.words.frame import page

if TYPE_CHECKING:
    from reconsent.words.views import ErrorView, Site


def dead_link(language: str, site: Site) -> str:
    """Return the page for every dead link; it does not say why."""
    return page("dead_link", language, site)


def error(view: ErrorView, site: Site) -> str:
    """Return the page for any other error."""
    return page("error", view.language, site, status=view.status)
