"""Asking for optional mail again: on the page of an unsubscribe, or by an account event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.forms import Page as Form
from tests.integration.informing import HOUR, Informing


def test_the_page_takes_it_back(informing: Informing) -> None:
    """By a POST of its own, as often as one likes; each new unsubscribe counts."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")
    left = Form.of(informing.post(link).text)
    assert (left.forms, left.method, f"/u/{left.action}") == (1, "post", f"{link}/again")
    assert informing.unsubscribed("ann")
    for _ in range(2):
        assert informing.post(f"{link}/again").status_code == 200
        assert not informing.unsubscribed("ann")
    assert informing.informed() == ["a"]
    informing.post(link)
    assert informing.informed() == [], "the same mail's link, said again"
    informing.post(f"{link}/again")
    assert informing.informed() == ["a"]
    assert len(informing.kept()) == 1


def test_opening_a_link_shows_what_is_so(informing: Informing) -> None:
    """The button's page is that of the link until the button was pressed; nothing changes."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")

    def opened() -> tuple[str, str]:
        for path in (link, f"{link}/again"):
            assert informing.get(path).status_code in {200, 303}
        again = informing.get(f"{link}/again")
        if again.status_code == 303:
            assert again.headers["location"].endswith(link)
            return informing.get(link).text, ""
        return informing.get(link).text, again.text

    offered = opened()
    assert "<h1>Unsubscribe</h1>" in offered[0]
    assert offered[1] == ""
    left = informing.post(link).text
    assert opened() == (left, "")
    assert informing.unsubscribed("ann")
    back = informing.post(f"{link}/again").text
    assert "<h1>You get our news again</h1>" in back
    assert opened() == (offered[0], back)
    assert not informing.unsubscribed("ann")
    informing.post(link)
    assert opened() == (left, "")


@pytest.mark.parametrize("stops", ["none", "service", "deactivated", "complained", "bounced"])
def test_news_is_not_promised_to_whom_none_is_sent(informing: Informing, stops: str) -> None:
    """Asking again ends an unsubscribe, and nothing else that stops optional mail."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")
    informing.post(link)
    informing.place.clock += HOUR
    if stops in {"none", "service"}:
        informing.account("ann", contact=stops)
    elif stops == "deactivated":
        informing.account("ann", status=stops)
    else:
        informing.reported(informing.notice("ann"), stops, informing.place.clock)
    back = informing.post(f"{link}/again").text
    assert "<h1>You are no longer unsubscribed</h1>" in back
    assert "But we still mail you no news" in back
    assert informing.get(f"{link}/again").text == back
    assert informing.informed() == []


def test_only_an_unsubscribe_link_takes_it_back(informing: Informing) -> None:
    """Dead and altered ones look like any other."""
    informing.account("ann")
    informing.account("di")
    informing.informed()
    working, dead = informing.link("ann"), informing.link("di")
    informing.post(working)
    informing.account("di", status="deleted", email=None)
    for path in (dead, working[:-1], working.replace("/u/", "/c/")):
        assert informing.post(f"{path}/again").status_code in {404, 405}
        assert informing.get(f"{path}/again").status_code == 404
    assert informing.unsubscribed("ann")


@pytest.mark.parametrize(
    ("hours", "unsubscribed"), [(None, True), (-1, True), (0, True), (1, False)]
)
def test_opting_in_later_ends_it(
    informing: Informing,
    hours: int | None,
    unsubscribed: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """An account event that says so, in any order of arrival; not one of before, or of another."""
    informing.account("ann")
    informing.informed()
    at, notice = informing.place.clock, informing.notice("ann")
    informing.place.clock += 5 * HOUR
    opted_in: dict[str, Any] = (
        {} if hours is None else {"opted_in_at": (at + hours * HOUR).isoformat()}
    )
    for event_first in (False, True):
        if event_first:
            informing.account("ann", name="Ann", **opted_in)
        informing.reported(notice, "unsubscribed", at)
        if not event_first:
            informing.account("ann", name="Anna", **opted_in)
        assert informing.unsubscribed("ann") == unsubscribed
    informing.account("ann", name="Anne")
    assert informing.unsubscribed("ann") == unsubscribed, "the next event says nothing of it"
    assert informing.informed() == ([] if unsubscribed else ["a"])
