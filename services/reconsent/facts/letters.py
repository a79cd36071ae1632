"""Letters: what a mail says, written once for all who share it, and kept by its hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from reconsent.adapters.mail_rendering import Mail, render_mail
from reconsent.adapters.postgres import Connection
from reconsent.domain.notice import Kind, questions
from reconsent.domain.use import Use
from reconsent.facts.cohorts import ask_ids
from reconsent.facts.versions import Policies
from reconsent.queries import named

SQL = named("notices")


class Wording(NamedTuple):
    """What decides the words of a mail: all who share it get the same."""

    kind: Kind
    version_id: int
    ask: frozenset[Use]
    refused: frozenset[Use]
    property_name: str
    locale: str


class KeptLetter(NamedTuple):
    """A letter with the ask that it puts, and the hash under which its words are kept."""

    mail: Mail
    ask_id: int
    rendering: str


class Letters:
    """Writes letters, each wording once."""

    def __init__(self, *, public_url: str, sender: str) -> None:
        """Write for a site, in the name of a sender."""
        self._public_url = public_url
        self._sender = sender
        self._written: dict[Wording, Mail] = {}

    def keep(self, connection: Connection, policies: Policies, wording: Wording) -> KeptLetter:
        """Return the letter of a wording, kept with the words that it has now."""
        mail = self._written.get(wording) or self._write(policies, wording)
        self._written[wording] = mail
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
        return KeptLetter(mail, ask_id, rendering)

    def _write(self, policies: Policies, wording: Wording) -> Mail:
        version = policies.versions[wording.version_id]
        return render_mail(
            wording.kind,
            version=version,
            property_name=wording.property_name,
            locale=wording.locale,
            questions=questions(wording.ask),
            refused_before=wording.refused,
            published=policies.by_name[version.policy].by_name,
            public_url=self._public_url,
            sender=self._sender,
        )


def keep_words(
    connection: Connection,
    content: dict[str, str],
    **context: Any,  # noqa: ANN401 -- columns of the table
) -> str:
    """Keep what was rendered, with what it was rendered for; return the hash of both."""
    told = json.dumps([context, content], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()
    kept = {"rendering": digest, "content": Jsonb(content)} | context
    connection.execute(SQL["keep_rendering"], kept)
    return digest
