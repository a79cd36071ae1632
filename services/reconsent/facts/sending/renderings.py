"""Renderings: what a mail says, written once for all who share it, and kept by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb

from reconsent.domain.mail import RenderedMail
from reconsent.domain.notice import Kind
from reconsent.domain.use import Use
from reconsent.facts.remembered import Remembered
from reconsent.facts.sets import ask_ids
from reconsent.facts.versions import Policies
from reconsent.store.named import named
from reconsent.store.postgres import Connection

SQL = named("sending/renderings")
# A mail is some tens of kilobytes.
_REMEMBERED: Final = 1000


class Wording(NamedTuple):
    """What decides the words of a mail: all who share it get the same."""

    kind: Kind
    version_id: int
    ask: frozenset[Use]
    refused: frozenset[Use]
    property_name: str
    locale: str


class KeptMail(NamedTuple):
    """A mail with the ask that it puts, and the hash under which its words are kept."""

    mail: RenderedMail
    ask_id: int
    rendering: str


Render = Callable[[Wording, Policies], RenderedMail]
"""Renders a wording; only the caller knows the words."""


class Renderings:
    """Renders mails, each wording once."""

    def __init__(self, render: Render) -> None:
        """Render by this function; the same wording always gives the same mail."""
        self._render = render
        self._rendered = Remembered[Wording, RenderedMail](_REMEMBERED)

    def write(self, policies: Policies, wording: Wording) -> RenderedMail:
        """Return the mail of a wording. Raises what rendering it raises."""
        rendered = self._rendered.look_up(
            [wording], lambda unknown: {one: self._render(one, policies) for one in unknown}
        )
        return rendered[wording]

    def keep(self, connection: Connection, policies: Policies, wording: Wording) -> KeptMail:
        """Return the mail of a wording, kept with the words that it has now."""
        mail = self.write(policies, wording)
        ask_id = ask_ids(connection, [wording.ask])[wording.ask]
        content = {"subject": mail.subject, "text": mail.text, "html": mail.html}
        rendering = keep_words(
            connection,
            content,
            version_id=wording.version_id,
            ask_id=ask_id,
            property=wording.property_name,
            locale=mail.locale,
            template=mail.template_hash,
        )
        return KeptMail(mail, ask_id, rendering)


def keep_words(
    connection: Connection,
    content: dict[str, str],
    **context: Any,  # noqa: ANN401 -- columns of the table
) -> str:
    """Keep what was rendered, with what it was rendered for; return the hash of both."""
    content_json = json.dumps([context, content], sort_keys=True)
    digest = hashlib.sha256(content_json.encode()).hexdigest()
    kept = {"rendering": digest, "content": Jsonb(content)} | context
    connection.execute(SQL["keep_rendering"], kept)
    return digest
