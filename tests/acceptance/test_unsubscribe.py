"""Unsubscribing from optional mail by the mail's own headers, from outside."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.acceptance.outside import World, permissions
from tests.acceptance.people import SHOP, account, check, collection
from tests.acceptance.versions import EMAIL, OFFERS, SERVICE, V1, Json, version

_PEOPLE = ("uma", "una")


def _informing(name: str, follows: str, *uses: str) -> Json:
    """Return a material version that is mailed to whoever opted in."""
    notice = {"material": True, "information_mail": "opted_in"}
    return version(name, follows, (EMAIL, [SERVICE, *uses], []), notice=notice)


def _mails(world: World) -> dict[str, int]:
    return {name: len(world.mails(f"{name}@people.test")) for name in _PEOPLE}


@pytest.fixture(scope="module")
def informed(world: World, web: httpx.Client) -> World:
    """People who opted in were informed of a second version."""
    assert web.get("/readyz").is_success
    world.environment["MAIL_FROM_INFORMATION"] = "News <news@shop.example>"
    world.take("emit", "policy-versions", [V1])
    world.take("emit", "accounts", [account(name) for name in _PEOPLE])
    world.take("emit", "collections", [collection(name) for name in _PEOPLE])
    world.work()
    world.take("emit", "policy-versions", [_informing("v2", "v1")])
    world.work()
    assert _mails(world) == {"uma": 1, "una": 1}
    return world


def _one_click_link(world: World) -> str:
    """Return the link that Uma's mail offers to mail programs and to her, after a look at it."""
    [mail] = world.mails("uma@people.test")
    assert mail.message["From"].addresses[0].addr_spec == "news@shop.example"
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.message["List-Id"] == f"<information.{SHOP}>"
    link = str(mail.message["List-Unsubscribe"]).strip("<>")
    assert link.startswith(f"{world.url}/u/")
    assert link in mail.text
    assert link in mail.html
    return link


def test_one_click_ends_optional_mail_and_nothing_else(informed: World, web: httpx.Client) -> None:
    """The mail program's POST suffices; questions still come, and no permission has changed."""
    world = informed
    link = _one_click_link(world)
    before = permissions(web, [check("uma"), check("uma", data_use=SERVICE)])

    for method in ("GET", "HEAD"):
        assert web.request(method, link, headers={"purpose": "prefetch"}).status_code == 200
    body = "List-Unsubscribe=One-Click"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = web.post(link, content=body, headers=headers)
    assert (answer.status_code, answer.cookies) == (200, httpx.Cookies())
    after = permissions(web, [check("uma"), check("uma", data_use=SERVICE)])
    assert [(one["allowed"], one["reason"]) for one in after] == [
        (one["allowed"], one["reason"]) for one in before
    ]

    # What the company's own list says tomorrow.
    world.take("emit", "accounts", [account("uma", updated_at="2026-11-01T00:00:00Z")])
    world.take("emit", "policy-versions", [_informing("v3", "v2")])
    world.work()
    assert _mails(world) == {"uma": 1, "una": 2}
    told = world.run("notices", "--account", "uma", "--property", SHOP, "--json").ndjson
    assert [(one["state"], one["suppression"]) for one in told] == [
        ("accepted", None),
        ("suppressed", "not_opted_in"),
    ]
    story = world.run("explain", "uma", "--property", SHOP).out
    assert "unsubscribed" in story

    world.take("emit", "policy-versions", [_informing("v4", "v3", OFFERS)])
    world.work()
    question = world.mails("uma@people.test")[-1]
    assert "/c/" in question.text
    assert question.message["From"].addresses[0].addr_spec == "privacy@localhost"
    assert not [name for name in question.message if name.startswith("List-")]
    assert "unsubscribe" not in question.text.lower() + question.html.lower()


def test_a_link_has_one_purpose_only(informed: World, web: httpx.Client) -> None:
    """An unsubscribe link opens no question: the page is that of a dead link."""
    [mail, *_] = informed.mails("una@people.test")
    link = str(mail.message["List-Unsubscribe"]).strip("<>")
    dead = web.get("/c/dead")
    for wrong in (link.replace("/u/", "/c/"), link[:-1], f"{informed.url}/u/dead"):
        for answer in (web.get(wrong), web.post(wrong)):
            assert (answer.status_code, answer.text) == (404, dead.text)
    story = json.loads(informed.run("explain", "una", "--property", SHOP, "--json").out)
    assert story["unsubscribed_at"] is None
