"""People who are due a notice, created quickly, for rounds about sending."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from reconsent.workers.planner import Planner
from tests.drafts import draft, row

SITES: Final = ("shop.example", "blog.example")
LOCALES: Final = ("en", "nb")


def asked(database: Database, emails: Sequence[str], *, letters: int = 1) -> None:
    """Create an account for each address, p0 and so on, and plan a notice for each.

    Their notices are due. There are up to four mails, by site and language.
    """
    database.transaction(lambda connection: _ask(connection, emails, letters))
    planner = Planner(database)
    while planner.work():
        pass


def _ask(connection: Connection, emails: Sequence[str], letters: int) -> None:
    sites = list(SITES)
    texts = {
        locale: {"title": "Policy", "summary": "It changes", "body": "#"} for locale in LOCALES
    }
    first = [row("user", "essential.service")]
    publish(connection, draft(properties=sites, declares=first, texts=texts), PublishedVersions())
    connection.execute(
        """
        INSERT INTO accounts (property, account, email, locale, address_hash, updated_at)
        SELECT told.property, 'p' || told.number - 1, told.email, told.locale, told.address_hash,
               now() - interval '1 day'
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[])
             WITH ORDINALITY AS told (property, email, locale, address_hash, number)
        """,
        (
            [SITES[n % letters % 2] for n in range(len(emails))],
            list(emails),
            [LOCALES[n % letters // 2] for n in range(len(emails))],
            [hashlib.sha256(email.encode()).digest() for email in emails],
        ),
    )
    connection.execute(
        "INSERT INTO collections SELECT account_key, 'user.contact.email', 'v1',"
        " now() - interval '1 day', 'person' FROM accounts"
    )
    keys = [key for (key,) in connection.execute("SELECT account_key FROM accounts")]
    refresh_holdings(connection, keys, PublishedVersions().now(connection))
    asking = [row("user", "essential.service", "marketing")]
    publish(
        connection,
        draft(version="v2", follows="v1", properties=sites, declares=asking, texts=texts),
        PublishedVersions(),
    )
