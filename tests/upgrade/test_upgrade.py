"""An upgrade takes a whole existing database along.

The fixture is a database that the program of before filled, with what it answered, and with what it
went on to do (make.py). The program of today must answer the same, and go on in the same way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from reconsent.domain.bus import DEAD
from tests.acceptance.outside import World
from tests.stand_ins.sendgrid_webhook import Signing
from tests.stand_ins.smtp_server import MailServer, running
from tests.upgrade.cast import PUBLIC_URL, address
from tests.upgrade.comparing import differences, missing
from tests.upgrade.fixture import recorded_answers
from tests.upgrade.living import STEPS
from tests.upgrade.place import Json, opened, upgrade
from tests.upgrade.reading import FORGOTTEN, KEPT

MAILED_NEXT = {
    address(name)
    for name in ("app-due", "closed", "due", "m-stuck", "moved", "part", "unplanned", "unread")
}
"""Who was due, who came since, who can be written to again, and whose mail was half sent."""
ANSWERS = (
    "notices", "stories", "commands", "permits", "erasures", "status", "releases",
    "dead_letters", "pages", "words",
)  # fmt: skip


@pytest.mark.parametrize("what", ANSWERS)
def test_every_answer_is_the_same(recorded: Json, answers: Json, what: str) -> None:
    """What was recorded before the upgrade is what the program prints after it."""
    assert differences(recorded["answers"][what], answers[what]) == []


def test_links_of_deleted_accounts_are_dead(recorded: Json, answers: Json) -> None:
    """They were before, and they are."""
    deleted = {one["notice"] for one in answers["notices"] if one["settled"] == "void"}
    links = [mail["link"] for mail in recorded["mails"] if mail["notice"] in deleted]
    assert len(links) == len({"forgotten", "returned", "buried"})
    for link in links:
        path = link.removeprefix(PUBLIC_URL)
        assert answers["pages"][path]["status"] == httpx.codes.NOT_FOUND


def test_what_no_command_prints_is_kept(answers: Json) -> None:
    """That is evidence, names and addresses; nothing of deleted accounts and minors is back."""
    assert answers["kept"] == dict.fromkeys(KEPT, True) | dict.fromkeys(FORGOTTEN, False)


_EVERYTHING_AGAIN: Final = "emit_everything_again"


@pytest.mark.parametrize("step", STEPS)
def test_life_goes_on_as_before(recorded: Json, lived: tuple[Json, list[Json]], step: str) -> None:
    """Services, people, providers and the company bring about what they would have before."""
    was, found = recorded["living"][step], lived[0][step]
    if step.startswith("relay"):
        # What is published in another form is published again.
        assert missing(was, found) == []
    elif step == _EVERYTHING_AGAIN:
        # Erased collections, which were thrown away before, come back as history.
        assert differences(was, found | {"new": was["new"]}) == []
    else:
        assert differences(_mails_sorted(was), _mails_sorted(found)) == []


def _mails_sorted(step: Json) -> Json:
    """Sort the mails of a step: of two people with one address, any may come first."""
    if "mailed" not in step:
        return step
    return step | {"mailed": sorted(step["mailed"], key=lambda mail: (mail["to"], mail["notice"]))}


def test_who_was_to_be_mailed_is_mailed_once(lived: tuple[Json, list[Json]]) -> None:
    """Nobody else is, and emitting everything again mails nobody and changes no answer."""
    brought, _ = lived
    assert Counter(mail["to"] for mail in brought["work"]["mailed"]) == dict.fromkeys(
        MAILED_NEXT, 1
    )
    assert brought["work_again"]["mailed"] == []
    again = brought[_EVERYTHING_AGAIN]
    assert (again["mailed"], again["changed"]) == ([], [])


def test_an_event_id_never_comes_with_another_content(
    recorded: Json, lived: tuple[Json, list[Json]]
) -> None:
    """Consumers may have kept the ids that were published before."""
    known = {message["id"]: message["value"] for message in recorded["published"] if message["id"]}
    _, published = lived
    assert published
    for message in published:
        if message["id"]:
            assert known.setdefault(message["id"], message["value"]) == message["value"]


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    """Run a mail server."""
    with running(MailServer()) as server:
        yield server


def test_a_dump_loaded_elsewhere_is_a_restore(
    tmp_path: Path, load: Callable[..., str], smtp: MailServer
) -> None:
    """Mail to a server waits for a person; the mailbox goes on; everything is published again."""
    world, recorded = World(tmp_path), recorded_answers()
    conninfo = load(in_place=False)
    upgrade(world, conninfo, Signing())
    with opened(world, conninfo) as place:
        place.work("intake", "planner", "dispatcher", mail=smtp.url())
        assert _held(world, smtp)
        assert smtp.taken == []
        published = _last_values(recorded["published"]).keys()
        assert published <= _last_values(place.publish()).keys()
        place.work()
        mailed = Counter(str(mail.message["To"]) for mail in world.mails())
        # The server may have taken the mail that was half sent: it is not repeated blindly.
        assert mailed == dict.fromkeys(MAILED_NEXT - {address("m-stuck")}, 1)
        world.run("release", "resume", "--after-restore")
        assert not _held(world, smtp)


def _held(world: World, smtp: MailServer) -> bool:
    """Tell whether mail to a server waits for a person."""
    status = world.run("status", "--json", environment={"MAIL_URL": smtp.url()}).json
    return status["sending_held_since"] is not None


def _last_values(messages: list[Json]) -> dict[tuple[str, str], str]:
    """Return the last value of each key in the topics of what stands now."""
    return {
        (one["topic"], one["key"]): json.dumps(one["value"])
        for one in messages
        if not one["topic"].endswith(DEAD)
    }
