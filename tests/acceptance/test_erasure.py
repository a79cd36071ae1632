"""After a deletion nothing in the database identifies the person, and nothing else is lost."""

from __future__ import annotations

import httpx
import psycopg
from psycopg import sql

from reconsent.embedded.user import join
from tests.acceptance.outside import World, answer
from tests.acceptance.people import SHOP, account, ask, choice, collection, reason
from tests.acceptance.versions import later

EMAIL = "zq8841.quux@people.test"
NAME = "Zebedee Quux"
CALLED = "recorded call 77-31"
PERSONAL = ("zq8841", "Zebedee", "Quux")


def found(world: World, *texts: str) -> dict[str, set[str]]:
    """Return the tables that contain each of some texts."""
    tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'm') "
    ours = (
        "AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    )
    row = sql.SQL(
        "SELECT count(*) FROM {} AS t WHERE strpos(t::text, %s) > 0 OR strpos(t::text, %s) > 0"
    )
    with join(world.home) as user, psycopg.connect(user.conninfo) as connection:
        names = [name for (name,) in connection.execute(sql.SQL(tables + ours))]
        assert len(names) > 5
        return {
            text: {
                name
                for name in names
                # A row shows bytes in hexadecimal.
                if connection.execute(
                    row.format(sql.Identifier(*name.split("."))), (text, text.encode().hex())
                ).fetchone()
                != (0,)
            }
            for text in texts
        }


def test_a_deletion_erases_the_person_and_keeps_the_decisions(
    world: World, web: httpx.Client
) -> None:
    """Address and name are gone from facts and bus alike; ledger, notices and others stay."""
    ask(world, [account("zed", email=EMAIL, name=NAME), account("other", name="Someone Else")])
    evidence = {"call": CALLED, "with": NAME}
    world.take("emit", "choices", [choice("zed", "deny", evidence=evidence, channel="phone")])
    world.work("intake")
    answer(web, world.link(EMAIL), "allow")
    before = found(world, *PERSONAL)
    assert all(before.values()), before
    assert found(world, CALLED)[CALLED]
    gone = account("zed", email=None, name=None, status="deleted", updated_at=later(hours=1))
    world.take("emit", "accounts", [gone])
    world.work()
    assert not any(found(world, *PERSONAL, CALLED).values()), found(world, *PERSONAL, CALLED)
    assert found(world, "Someone Else")["Someone Else"]
    assert reason(web, "zed") == "account_deleted"
    told = world.run("consents", "zed", "--property", SHOP).ndjson
    assert {entry["event_state"] for entry in told} == {"ConsentInvalidated"}
    assert len(told) == 3
    [notice] = world.run("notices", "--account", "zed").ndjson
    assert (notice["state"], notice["settled"]) == ("accepted", "void")
    assert web.get(world.mails(EMAIL)[0].link or "").status_code == httpx.codes.NOT_FOUND
    # What is heard again of before the deletion brings nothing back.
    world.take("emit", "accounts", [account("zed", email=EMAIL, name=NAME)])
    world.take("emit", "collections", [collection("zed")])
    world.work()
    assert not any(found(world, *PERSONAL).values())
    assert reason(web, "zed") == "account_deleted"
    assert len(world.mails(EMAIL)) == 1
