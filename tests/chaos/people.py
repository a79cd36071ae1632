"""People who are due a notice, created quickly, for rounds about sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from reconsent.workers.planner import Planner
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data

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
    keys = add_accounts(
        connection,
        """
        SELECT person.property, 'p' || person.number - 1, person.email, NULL, person.locale
        FROM unnest(%(properties)s::text[], %(emails)s::text[], %(locales)s::text[])
             WITH ORDINALITY AS person (property, email, locale, number)
        """,
        {
            "properties": [SITES[n % letters % 2] for n in range(len(emails))],
            "emails": list(emails),
            "locales": [LOCALES[n % letters // 2] for n in range(len(emails))],
        },
    )
    give_data(connection)
    refresh_holdings(connection, keys, PublishedVersions().now(connection))
    asking = [row("user", "essential.service", "marketing")]
    publish(
        connection,
        draft(version="v2", follows="v1", properties=sites, declares=asking, texts=texts),
        PublishedVersions(),
    )
