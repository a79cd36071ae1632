"""Mailboxes are compared in one spelling, also in a database that hashed another one."""

from __future__ import annotations

from importlib.resources import files
from itertools import count
from threading import Thread
from typing import Final
from uuid import UUID

import pytest

from reconsent.facts.record import address_hashes
from reconsent.facts.record.address_hashes import rehash_addresses
from reconsent.facts.record.locks import lock_mailboxes_shared
from tests.embedded_programs import wait_until
from tests.integration.informing import Informing
from tests.integration.stage import Stage

_MIGRATION: Final = files("reconsent.schemas").joinpath("postgres/0021_postal_addresses.sql")
# Two spellings of one mailbox, two mailboxes that had one hash, and one that could not be written
# to. Their first letters differ.
_PEOPLE: Final = {
    "a": "ann@bücher.example",
    "A": "Ann@xn--bcher-kva.example",
    "c": "cy@bücher.example",
    "C": "Cy@XN--BCHER-KVA.example",
    "d": "dag.\u00e5se@example.org",
    "s": "sue@straße.example",
    "S": "Sue@strasse.example",
    "t": "tim@straße.example",
    "T": "Tim@strasse.example",
    "z": "zoe@people.example\u200b",
}


def _asked_before(world: Informing) -> None:
    """Ask everyone as a release of before did; two mails bounce, and one cannot be written to."""
    for account, email in _PEOPLE.items():
        world.account(account, email=email)
        world.collected(account)
    world.publish("marketing")
    due = {n["account"]: n["notice"] for n in world.pipeline.notices() if n["state"] == "due"}
    world.pipeline.mailbox.answers = {UUID(due["z"]): "rejected"}
    assert world.send() == sorted(_PEOPLE.keys() - {"z"})
    for account in ("a", "s"):
        world.reported(due[account], "bounced", world.place.clock)
    world.pipeline.plan()
    assert world.send() == []


def _upgrade(place: Stage, failing_after: int | None) -> None:
    """Run the migration again, and what follows it; perhaps it is interrupted."""
    statements = _MIGRATION.read_text("utf-8")
    insert = statements[statements.index("INSERT") : statements.index("COMMENT")]
    with place.database.connection() as connection:
        connection.execute(insert.encode())
    if failing_after is not None:
        calls = count()

        def address_hash(email: str) -> bytes:
            if next(calls) >= failing_after:
                raise InterruptedError
            return place.signer.address_hash(email)

        with pytest.raises(InterruptedError):
            rehash_addresses(place.database, address_hash)
    rehash_addresses(place.database, place.signer.address_hash)
    with place.database.connection() as connection:
        left = connection.execute("SELECT FROM stale_address_hashes").fetchall()
        hashes = dict(connection.execute("SELECT email, address_hash FROM accounts").fetchall())
    assert not left
    assert hashes == {email: place.signer.address_hash(email) for email in hashes}


@pytest.mark.parametrize("failing_after", [None, 0, 1, 4])
def test_nobody_is_mailed_who_was_suppressed_before(
    place: Stage, monkeypatch: pytest.MonkeyPatch, failing_after: int | None
) -> None:
    """Marks move along with the hashes, count for each spelling, and for no other mailbox later."""
    world = Informing(place)
    with monkeypatch.context() as before:
        before.setattr("reconsent.domain.signing.postal_form", str.casefold)
        before.setattr("reconsent.domain.event.usable_address", lambda email: email)
        _asked_before(world)
    monkeypatch.setattr(address_hashes, "_SLICE", 1)
    _upgrade(place, failing_after)
    world.pipeline.plan()
    world.pipeline.mailbox.answers = {}
    assert world.send() == ["z"]
    assert world.pipeline.mailbox.kept[-1][1].email == "zoe@people.example"
    # A bounce of before counts for the other spelling now. That of sue may have been Sue's too.
    notices = {account: world.notice(account) for account in ("c", "t")}
    world.publish("marketing", "analytics")
    assert world.send() == ["C", "T", "c", "d", "t", "z"]
    # A late one, about a mail of before, counts for each spelling, and for no other company.
    for notice in notices.values():
        world.reported(notice, "bounced", place.clock)
    world.publish("marketing", "analytics", "functional")
    assert world.send() == ["T", "d", "z"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ann@bücher.example", "Ann@XN--bcher-KVA.example", True),
        ("åse@example.org", "A\u030aSE@example.org", True),
        ("ann@straße.example", "ann@strasse.example", False),
        ("strauß@example.org", "strauss@example.org", False),
    ],
)
def test_a_bounce_counts_for_the_mailbox(
    place: Stage,
    first: str,
    second: str,
    same: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """However it is written; ß is not ss."""
    world = Informing(place)
    for account, email in (("1", first), ("2", second)):
        world.account(account, email=email)
        world.collected(account)
    world.publish("marketing")
    notices = {n["account"]: n["notice"] for n in world.pipeline.notices()}
    assert len(world.send()) == len(notices)
    world.reported(notices["1"], "bounced", place.clock)
    world.publish("marketing", "analytics")
    assert len(world.send()) == (0 if same else 1)


def test_what_speaks_of_mailboxes_is_not_lost_meanwhile(place: Stage) -> None:
    """Marks get other hashes only when nothing is being recorded that lifts or makes some."""
    world = Informing(place)
    world.account("ann", email="ann@bücher.example")
    mailbox = place.signer.address_hash("somebody@example.org")
    statements = _MIGRATION.read_text("utf-8")
    insert = statements[statements.index("INSERT") : statements.index("COMMENT")]
    upgrade = Thread(target=lambda: rehash_addresses(place.database, place.signer.address_hash))
    with place.database.connection() as connection:
        connection.execute(insert.encode())
        connection.commit()
        lock_mailboxes_shared(connection, [mailbox])
        upgrade.start()
        waiting = (
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with place.database.connection() as other:
            other.autocommit = True
            wait_until(lambda: other.execute(waiting).fetchall() or not upgrade.is_alive())
            other.autocommit = False
        assert upgrade.is_alive()
    upgrade.join()
    with place.database.connection() as connection:
        assert not connection.execute("SELECT FROM stale_address_hashes").fetchall()
