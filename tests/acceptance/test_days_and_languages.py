"""The day that a policy names, people's own times, and whose language: from outside."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from tests.acceptance.outside import World, answer
from tests.acceptance.people import SHOP, account, collection
from tests.acceptance.versions import V1, V2, V3

NEW_YEAR = "2090-01-01T00:00:00+01:00"
LOCALES = ("en", "nb", "zh-Hans", "zh-Hant", "pt-BR", "pt-PT")
TEXTS = {
    locale: {"title": f"Policy in {locale}", "summary": "What changes.", "body": "# Policy\n"}
    for locale in LOCALES
}
SERVED = {
    "nn-NO": "nb",
    "no": "nb",
    "zh-TW": "zh-Hant",
    "zh_HK": "zh-Hant",
    "zh-CN": "zh-Hans",
    "pt": "pt-PT",
    "pt-AO": "pt-PT",
    "pt-BR": "pt-BR",
    "fr": "en",
}
PEOPLE = [
    account("none"),
    account("kolkata", time_zone="Asia/Kolkata"),
    *(account(f"reads-{locale}", locale=locale) for locale in SERVED),
]


@pytest.fixture(scope="module", autouse=True)
def _asked(world: World, web: httpx.Client) -> None:
    """Everyone has been asked by mail about a version that applies from New Year in Norway."""
    assert web.get("/healthz").is_success
    dated = V3 | {"effective_at": NEW_YEAR, "texts": TEXTS}
    world.take("emit", "policy-versions", [V1, V2, dated])
    world.take("emit", "accounts", PEOPLE)
    world.take("emit", "collections", [collection(one["account"]) for one in PEOPLE])
    world.work()


def test_the_day_is_as_written_wherever_it_is_shown(world: World, web: httpx.Client) -> None:
    """In the mail's two forms, on the page, in the history and in the notice for the site."""
    [mail] = world.mails("none@people.test")
    pages = [web.get(path).text for path in ("/policies/shop", "/policies/shop/v3")]
    for shown in (mail.text, mail.html, web.get(world.link("none@people.test")).text, *pages):
        assert "1 January 2090" in shown
        assert "31 December" not in shown
    site = web.get(f"/properties/{SHOP}/notice.json").json()
    assert (site["effective_at"], site["until"]) == (NEW_YEAR, "2090-01-31T00:00:00+01:00")


@pytest.mark.parametrize(("name", "offset"), [("none", "UTC+01:00"), ("kolkata", "UTC+05:30")])
def test_a_persons_times_are_their_own(
    world: World, web: httpx.Client, name: str, offset: str
) -> None:
    """The receipt is in the account's time zone, else in the policy's; explain says the same."""
    receipt = answer(web, world.link(f"{name}@people.test"), "allow").text
    assert receipt.count(offset) == 2
    assert "Your yes counts from 1 January 2090." in receipt
    story = world.run("explain", name, "--property", SHOP).out
    assert offset in story
    assert "UTC " not in story
    assert "in force from 2090-01-01" in story
    assert offset in _on_a_terminal(world, "consents", name, "--property", SHOP)
    [decided, *_] = world.run("consents", name, "--property", SHOP).ndjson
    assert decided["decided_at"].endswith("Z")


def _on_a_terminal(world: World, *arguments: str) -> str:
    """Return what a command prints where a person reads it."""
    terminal, printed = os.openpty()
    ended = subprocess.run(
        [sys.executable, "-m", "reconsent", *arguments],
        env=os.environ | world.environment,  # noqa: TID251 -- what the machine offers
        stdout=printed,
        check=True,
    )
    os.close(printed)
    assert ended.returncode == 0
    text = os.read(terminal, 100_000).decode()
    os.close(terminal)
    return text


def test_a_wide_terminal_has_room_for_the_ids_of_notices(world: World) -> None:
    """An id is what `notices --after` wants; a narrow terminal would break it."""
    ids = {one["notice"] for one in world.run("notices", "--property", SHOP).ndjson}
    assert ids
    for columns, shown in (("80", set()), ("200", ids)):
        world.environment["COLUMNS"] = columns
        told = _on_a_terminal(world, "notices", "--property", SHOP)
        assert {id_ for id_ in ids if id_ in told} == shown
    del world.environment["COLUMNS"]


@pytest.mark.parametrize(("wanted", "served"), SERVED.items())
def test_accounts_and_browsers_get_the_closest_language(
    world: World, web: httpx.Client, wanted: str, served: str
) -> None:
    """The locale of an account and an Accept-Language header are matched alike."""
    [mail] = world.mails(f"reads-{wanted}@people.test")
    assert f"Policy in {served}" in mail.text
    header = {"Accept-Language": wanted.replace("_", "-")}
    assert f"Policy in {served}" in web.get("/policies/shop/v3", headers=header).text
