"""Attempts that begin at the same moment."""

from __future__ import annotations

from typing import Final

import psycopg

from reconsent.store.postgres import open_database
from tests.chaos.people import asked
from tests.integration.senders import SIX, outcomes, sending
from tests.integration.stage import Mailbox

# Three calls in a row are one moment.
_SLOW_CLOCK: Final = """
CREATE SCHEMA slow;
CREATE SEQUENCE slow.calls;
GRANT USAGE ON SCHEMA slow TO PUBLIC;
GRANT USAGE ON SEQUENCE slow.calls TO PUBLIC;
CREATE FUNCTION slow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT now() + nextval('slow.calls') / 3 * interval '1 microsecond'
$$;
"""


def test_attempts_of_one_moment_get_numbers_of_their_own(conninfo: str) -> None:
    """No claim fails for having begun in the microsecond of another: all mails leave once."""
    with open_database(conninfo) as made:
        asked(made, SIX)
    database = psycopg.sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]))
    with psycopg.connect(conninfo, user="postgres", autocommit=True) as admin:
        admin.execute(_SLOW_CLOCK)
        path = psycopg.sql.SQL("ALTER DATABASE {} SET search_path = slow, pg_catalog, public")
        admin.execute(path.format(database))
    provider = Mailbox(at_most=1)
    with sending(conninfo, provider) as sender:
        sender.send_all()
        assert outcomes(sender.database) == {"accepted=1": 6}
    assert sorted(to.email for _, to in provider.kept) == SIX
