"""Effects of SendGrid's reports, with the real webhook and database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.sendgrid_place import Place, nameless, report

if TYPE_CHECKING:
    from typing import Any

NOW: Final = time.time()


# ---------------------------------------------------------------------- what events mean


@pytest.mark.parametrize(
    ("kind", "changed", "state", "address"),
    [
        ("delivered", {}, "delivered", "works"),
        ("deferred", {}, "accepted", "works"),
        ("bounce", {}, "bounced", "bounces"),
        ("blocked", {}, "bounced", "works"),
        ("blocked", {"event": "blocked"}, "bounced", "works"),
        ("dropped", {}, "bounced", "bounces"),
        ("dropped", {"reason": "Spam Reporting Address"}, "bounced", "complains"),
        ("dropped", {"reason": "Recipient List over Package Quota"}, "bounced", "works"),
        ("bounce", {"reason": "blocked: says the server"}, "bounced", "bounces"),
        ("bounce", {"type": "expired"}, "bounced", "works"),
        ("bounce", {"reason": "Mailbox is full", "status": "5.2.2"}, "bounced", "works"),
        ("bounce", {"reason": "No such user", "status": "5.1.1"}, "bounced", "bounces"),
        ("spamreport", {}, "complained", "complains"),
        ("processed", {}, "accepted", "works"),
        ("open", {}, "accepted", "works"),
        ("click", {}, "accepted", "works"),
        ("unsubscribe", {}, "accepted", "works"),
        ("group_unsubscribe", {}, "accepted", "works"),
        ("group_resubscribe", {}, "accepted", "works"),
    ],
)
def test_what_an_event_means(
    place: Place, kind: str, changed: dict[str, Any], state: str, address: str
) -> None:
    """A returned mail is undelivered; only a report about the address marks the address."""
    account, notice = next(place.fresh)
    assert place.post(report(kind, notice, NOW, **changed)).status_code == 200
    assert place.rows(account) == [(state, state == "bounced")]
    marks = {"works": [], "bounces": ["bounced"], "complains": ["complained"]}
    assert place.marks(account) == marks[address]
    place.work("planner")
    assert len(place.rows(account)) == 1, "nobody is asked again at an address that failed"


@pytest.mark.parametrize("kind", ["delivered", "bounce", "spamreport", "deferred"])
def test_a_report_about_a_notice_that_was_put_off_and_then_suppressed(
    place: Place, kind: str
) -> None:
    """SendGrid had sent it after all: what became of the mail is recorded."""
    _, notice = next(place.fresh)
    with place.program.database.connection() as connection:
        connection.execute(
            "UPDATE notices SET state = 'suppressed', suppression = 'all_comms_opt_out',"
            " accepted_at = NULL WHERE notice_id = %s",
            [notice],
        )
    assert place.post(report(kind, notice, NOW)).status_code == 200
    with place.program.database.connection() as connection:
        [found] = connection.execute(
            "SELECT state, suppression FROM notices WHERE notice_id = %s", [notice]
        ).fetchall()
    assert (
        found
        == {
            "delivered": ("delivered", None),
            "bounce": ("bounced", None),
            "spamreport": ("complained", None),
            "deferred": ("suppressed", "all_comms_opt_out"),
        }[kind]
    )


@pytest.mark.parametrize(
    ("kind", "state", "address"),
    [
        ("bounce", "bounced", "bounces"),
        ("blocked", "bounced", "works"),
        ("dropped", "bounced", "bounces"),
        ("spamreport", "complained", "complains"),
        ("delivered", "accepted", "works"),
        ("deferred", "accepted", "works"),
    ],
)
def test_an_event_may_name_only_the_address(
    place: Place, kind: str, state: str, address: str
) -> None:
    """It counts for the mailbox, and what it got lately; but a delivery may be of other mail."""
    account, _ = next(place.fresh)
    late = nameless(kind, f"{account.upper()}@people.test", time.time())
    counts = place.post(late).json()
    assert counts == {"new": int(state != "accepted"), "unchanged": 0, "ignored": 1 - counts["new"]}
    assert place.rows(account) == [(state, state == "bounced")]
    marks = {"works": [], "bounces": ["bounced"], "complains": ["complained"]}
    assert place.marks(account) == marks[address]
    assert place.post(late).json()["new"] == 0


def test_an_unsubscribe_may_name_only_the_address(place: Place) -> None:
    """It is one of each account that has the address; one of other mail's list too."""
    for kind in ("unsubscribe", "group_unsubscribe"):
        account, _ = next(place.fresh)
        other = nameless(kind, f"{account}@people.test", NOW)
        assert place.post(other).json() == {"new": 1, "unchanged": 0, "ignored": 0}
        with place.program.database.connection() as connection:
            [(unsubscribed,)] = connection.execute(
                "SELECT unsubscribed FROM accounts WHERE account = %s", [account]
            ).fetchall()
        assert unsubscribed


def test_a_large_post_of_both_kinds_is_recorded(place: Place) -> None:
    """Notices and addresses in turns, many in a post; one without a valid address is not ours."""
    chosen = [next(place.fresh) for _ in range(200)]
    events = []
    for account, notice in chosen:
        events.append(report("delivered", notice, NOW))
        events.append(nameless("bounce", f"other-{account}@people.test", NOW))
    odd = [dict(events[1], email=email, sg_event_id="x") for email in ("none", 7, None, "", "a@b@")]
    answer = place.post(*events, *odd).json()
    assert answer == {"new": 400, "unchanged": 0, "ignored": 5}
    assert {place.state(account) for account, _ in chosen} == {"delivered"}


def test_an_unsubscribe_at_sendgrid_stops_optional_mail(place: Place) -> None:
    """Unsubscribing from a group or from all counts; resubscribing there does not undo it."""
    for kinds in (["unsubscribe"], ["group_unsubscribe", "group_resubscribe"], ["spamreport"]):
        account, notice = next(place.fresh)
        for later, kind in enumerate(kinds):
            assert place.post(report(kind, notice, NOW + later)).status_code == 200
        with place.program.database.connection() as connection:
            [(unsubscribed,)] = connection.execute(
                "SELECT unsubscribed FROM accounts WHERE account = %s", [account]
            ).fetchall()
            [(reason, channel)] = connection.execute(
                "SELECT reason, channel FROM unsubscribes WHERE notice_id = %s", [notice]
            ).fetchall()
        left = kinds != ["spamreport"]
        assert (unsubscribed, place.marks(account)) == (left, [] if left else ["complained"])
        assert (reason, channel) == ("unsubscribed" if left else "complained", "provider")
    account, notice = next(place.fresh)
    answer = place.post(report("group_resubscribe", notice, NOW))
    assert answer.json() == {"new": 0, "unchanged": 0, "ignored": 1}


def test_a_question_that_was_not_delivered_does_not_expire(place: Place) -> None:
    """An undelivered question stays open, whatever the reason."""
    found = {}
    for kind in ("delivered", "blocked", "bounce"):
        account, notice = next(place.fresh)
        place.post(report(kind, notice, NOW))
        with place.program.database.connection() as connection:
            connection.execute(
                "UPDATE notices SET accepted_at = now() - interval '31 days' WHERE notice_id = %s",
                (notice,),
            )
        place.work("scheduler")
        with place.program.database.connection() as connection:
            found[kind] = connection.execute(
                "SELECT answer FROM consents JOIN accounts USING (bucket, account_key)"
                " WHERE account = %s",
                (account,),
            ).fetchall()
    assert found == {"delivered": [("expired",)], "blocked": [], "bounce": []}


def test_a_complaint_stops_mail(place: Place) -> None:
    """A mailbox that reports spam gets no more mail, though it works."""
    account, notice = next(place.fresh)
    place.post(report("delivered", notice, NOW), report("spamreport", notice, NOW + 60))
    assert place.state(account) == "complained"
    assert place.marks(account) == ["complained"]


def test_the_order_does_not_matter(place: Place) -> None:
    """Late, doubled and reversed reports have the same result."""
    story = ["processed", "deferred", "delivered", "bounce", "spamreport"]
    ends = []
    for turn in (1, -1):
        account, notice = next(place.fresh)
        events = [report(kind, notice, NOW + n) for n, kind in enumerate(story)][::turn]
        for one in events:
            assert place.post(one, one).status_code == 200
        ends.append((place.rows(account), [event for event, *_ in place.events(notice)]))
    assert ends[0] == ends[1]
    assert ends[0] == (
        [("complained", True)],
        ["deferred", "delivered", "bounced", "complained"],
    )


def test_an_unknown_outcome_is_settled(place: Place) -> None:
    """The first report of a mail settles whether SendGrid accepted it."""
    ends = []
    for kind in ("deferred", "delivered"):
        account, notice = next(place.fresh)
        with place.program.database.connection() as connection:
            connection.execute(
                "UPDATE notices SET state = 'unknown', accepted_at = NULL WHERE notice_id = %s",
                (notice,),
            )
        place.post(report(kind, notice, NOW))
        ends.append(place.state(account))
    assert ends == ["accepted", "delivered"]
