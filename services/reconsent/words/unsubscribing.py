"""The pages for unsubscribing from optional mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.words.frame import page, version_path
from reconsent.words.phrases import Words

if TYPE_CHECKING:
    from reconsent.words.views import Site, UnsubscribeView


def unsubscribe(view: UnsubscribeView, site: Site) -> str:
    """Return the page that offers to unsubscribe. Opening it changes nothing."""
    return _page("unsubscribe", view, site)


def unsubscribed(view: UnsubscribeView, site: Site, token: str) -> str:
    """Return the page that confirms that a person has unsubscribed, and can take that back."""
    return _page("unsubscribed", view, site, token)


def subscribed_again(view: UnsubscribeView, site: Site) -> str:
    """Return the page that confirms that a person is no longer unsubscribed."""
    return _page("subscribed_again", view, site)


def _page(name: str, view: UnsubscribeView, site: Site, token: str = "") -> str:
    words = Words(version=view.version, locale=view.locale)
    path = version_path(site, view.version)
    return page(name, words.language, site, view=view, words=words, version_path=path, token=token)
