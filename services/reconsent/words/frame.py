"""The layout of every page: stylesheet, URLs, templates.

A page loads nothing but the stylesheet: no scripts, no inline styles, nothing from other servers.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from reconsent.words.translation import environment

if TYPE_CHECKING:
    from reconsent.domain.policy import PolicyVersion
    from reconsent.words.views import Site


@cache
def stylesheet() -> bytes:
    """Return the one stylesheet, served at /static/site.css."""
    return (files("reconsent.templates") / "pages/static/site.css").read_bytes()


@cache
def stylesheet_hash() -> str:
    """Return a hash for the stylesheet's URL, so that it can be cached forever."""
    return hashlib.sha256(stylesheet()).hexdigest()[:12]


def version_path(site: Site, version: PolicyVersion) -> str:
    """Return the path of the page that shows a version."""
    return f"{site.root}/policies/{version.policy}/{version.version}"


def page(name: str, language: str, site: Site, /, **values: object) -> str:
    """Render a whole page in one of the program's own languages."""
    frame = {
        "site": site,
        "root": site.root,
        "language": language,
        "stylesheet_hash": stylesheet_hash(),
    }
    return render(name, language, **frame, **values)


def render(name: str, language: str, /, **values: object) -> str:
    """Render a template of pages/, a whole page or part of one, without surrounding whitespace."""
    template = environment(language, html=True).get_template(f"pages/{name}.html")
    return template.render(values).strip()
