"""A mail, as a person's mail program reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import EmailMessage

from tests.acceptance.forms import hrefs


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A received mail."""

    message: EmailMessage

    @property
    def subject(self) -> str:
        """The subject."""
        return str(self.message["Subject"])

    @property
    def notice(self) -> str:
        """The id of its notice."""
        return str(self.message["X-Reconsent-Notice"])

    @property
    def text(self) -> str:
        """The plain text."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The HTML."""
        return self._part("html")

    @property
    def link(self) -> str | None:
        """The choose link, the same in both forms; None if there is none."""
        in_text = set(re.findall(r"https?://\S+/c/[^\s)>\]]+", self.text))
        in_html = {url for url in hrefs(self.html) if "/c/" in url}
        assert in_text == in_html
        assert len(in_text) <= 1
        return next(iter(in_text), None)

    def _part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content())
