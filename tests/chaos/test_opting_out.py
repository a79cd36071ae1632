"""No account is mailed that had opted out before the claim, however many opt out at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg

from reconsent.bus.postgres import PostgresProducer
from reconsent.domain.bus import Message
from reconsent.store.log import lag
from reconsent.store.postgres import connect, open_database
from reconsent.workers.intake import GROUP
from tests.chaos.clean_run import SECRET, SENDER
from tests.chaos.people import SITES, asked
from tests.chaos.sending import Place
from tests.chaos.services import Services
from tests.embedded_programs import wait_until

PEOPLE: Final = 400
_LITTLE: Final = 8

# What a claim could see, and which transaction an account left in. Both are noted by the statement
# that does it: what is noted of a claim is at least what it saw when it looked.
_NOTING: Final = """
CREATE TABLE claims_seen (attempt_id bigint PRIMARY KEY, could_see pg_snapshot NOT NULL);
CREATE TABLE leavings_seen (account_key bigint NOT NULL, left_in xid8 NOT NULL);
CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO claims_seen VALUES (NEW.attempt_id, pg_current_snapshot());
    RETURN NULL;
END $$;
CREATE FUNCTION note_leaving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO leavings_seen VALUES (NEW.account_key, pg_current_xact_id());
    RETURN NULL;
END $$;
CREATE TRIGGER note_claim AFTER INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION note_claim();
CREATE TRIGGER note_leaving AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (NEW.contact = 'none' OR NEW.status <> 'active' OR NEW.minor)
    EXECUTE FUNCTION note_leaving();
"""
_MAILED: Final = """
SELECT notice_id::text, coalesce(bool_or(pg_visible_in_snapshot(left_in, could_see)), false),
       count(left_in) > 0
FROM notices JOIN claims_seen USING (attempt_id) LEFT JOIN leavings_seen USING (account_key)
GROUP BY notice_id
"""
_STATES: Final = (
    "SELECT state, suppression, count(*)::integer FROM notices"
    " WHERE state <> 'accepted' GROUP BY state, suppression"
)


def test_opted_out_accounts_are_not_mailed(sending_place: Place, tmp_path: Path) -> None:
    """Three dispatchers send while people opt out in every way: each claim sees it."""
    place, chance = sending_place, Random(20)
    conninfo = place.server.make()
    with psycopg.connect(conninfo) as connection:
        connection.execute(_NOTING)
    with open_database(conninfo, size=2) as database:
        asked(database, [f"p{n}@example.org" for n in range(PEOPLE)], letters=4)
    place.sendgrid.forget()
    leaving = [_leaves(n, chance) for n in chance.sample(range(PEOPLE), PEOPLE)]
    environment = _environment(conninfo, place)
    with (
        closing(Services(place.forker, environment, tmp_path / "log")) as services,
        closing(PostgresProducer(partial(connect, conninfo))) as producer,
    ):
        for name in ("intake", "intake", "dispatcher", "dispatcher", "dispatcher"):
            services.start(name)
        for some in _parts(leaving, _LITTLE):
            producer.send(some)
            time.sleep(chance.random() * 0.05)
        wait_until(lambda: _is_quiet(conninfo))
    with psycopg.connect(conninfo) as connection:
        mailed = connection.execute(_MAILED).fetchall()
        others: list[Any] = connection.execute(_STATES).fetchall()
    told = {name for name, *_ in mailed}
    people = place.sendgrid.personalizations()
    assert sorted(one["custom_args"]["reconsent_notice"] for one in people) == sorted(told)
    assert not [name for name, had_left, _ in mailed if had_left]
    assert len(told) + sum(count for *_, count in others) == PEOPLE
    assert {state for state, *_ in others} <= {"suppressed", "superseded"}
    sys.stderr.write(f"\n{len(told)} were mailed before they left; of the others: {others}\n")
    # They met: some were mailed and left later, others left first, in every way.
    assert sum(left for *_, left in mailed) > PEOPLE // 20
    assert len({why for _, why, _ in others}) == 4
    place.server.drop(conninfo)


def _leaves(number: int, chance: Random) -> Message:
    """Return an opt-out, in one of all ways."""
    site, name = SITES[number % 2], f"p{number}"
    key, now = f"{site}/{name}".encode(), datetime.now(UTC)
    data: dict[str, Any] = {
        "property": site, "account": name, "email": f"{name}@example.org",
        "status": "active", "contact": "all", "updated_at": now.isoformat(),
    }  # fmt: skip
    ways: list[dict[str, Any]] = [{"contact": "none"}, {"status": "deactivated"}, {"minor": True}]
    way = chance.choice([*ways, None])
    value = None if way is None else json.dumps(data | way).encode()
    return Message("accounts", key, value, (), now)


def _environment(conninfo: str, place: Place) -> dict[str, str]:
    return {
        "DATABASE_URL": conninfo,
        "MAIL_URL": "sendgrid://",
        "MAIL_FROM": SENDER,
        "SENDGRID_HOST": place.sendgrid.host,
        "SENDGRID_API_KEY": place.sendgrid.api_key,
        "RECONSENT_MAILS_PER_SECOND": "150",
        "RECONSENT_SECRET": SECRET,
        "RECONSENT_API_TOKEN": "a token",
    }


def _parts(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    return (messages[start : start + size] for start in range(0, len(messages), size))


def _is_quiet(conninfo: str) -> bool:
    with connect(conninfo) as connection:
        [(busy,)] = connection.execute(
            "SELECT count(*) FROM notices WHERE state IN ('due', 'attempting')"
        ).fetchall()
        return not busy and not sum(lag(connection, GROUP).values())
