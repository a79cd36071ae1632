"""What SendGrid's webhook may receive: thousands at once, what is not ours, what cannot be read."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from reconsent.domain.event_hash import hashed_id
from tests.integration.sendgrid_place import Place, report

if TYPE_CHECKING:
    from typing import Any


MANY: Final = 2500
NOW: Final = time.time()


def test_thousands_at_once_are_recorded_once(place: Place) -> None:
    """Large posts, concurrent and repeated, are recorded once."""
    events = [report("delivered", next(place.fresh)[1], NOW) for _ in range(MANY)]
    assert len(json.dumps(events)) > 768_000
    with ThreadPoolExecutor(3) as side_by_side:
        answers = list(side_by_side.map(lambda _: place.post(*events, *events[:10]), range(3)))
    answers.append(place.post(*reversed(events)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(answer.json()["new"] for answer in answers) == MANY
    hashed = place.program.signer.address_hash
    ids = [hashed_id(one["sg_event_id"], hashed) for one in events]
    with place.program.database.connection() as connection:
        kept = connection.execute(
            "SELECT count(*) FROM mail_events WHERE provider_id = ANY(%s)", (ids,)
        ).fetchall()
    assert kept == [(MANY,)]


def test_pages_respond_while_a_post_is_recorded(place: Place) -> None:
    """Recording waits for a locked notice; other requests do not wait."""
    account, notice = next(place.fresh)
    with ThreadPoolExecutor(1) as aside:
        with place.program.database.connection() as connection:
            connection.execute("SELECT FROM notices WHERE notice_id = %s FOR UPDATE", (notice,))
            posting = aside.submit(place.post, report("delivered", notice, NOW))
            while not connection.execute(
                "SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
            ).fetchall():
                assert not posting.done()
            assert place.client.get("/healthz").is_success
            assert not posting.done()
        assert posting.result().json()["new"] == 1
    assert place.state(account) == "delivered"


def test_what_is_not_ours_is_ignored(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Reports of other mail, unknown notices and unknown kinds are counted, not errors."""
    account, notice = next(place.fresh)
    foreign = report("delivered", notice, NOW)
    del foreign["reconsent_notice"]
    events = [
        foreign,
        report("bounce", "not-a-notice", NOW),
        report("bounce", "00000000-0000-4000-8000-000000000000", NOW),
        report("open", notice, NOW),
        report("delivered", notice, NOW, event="account_status_change"),
        report("delivered", notice, NOW),
    ]
    with caplog.at_level("INFO"):
        answer = place.post(*events)
    assert (answer.status_code, answer.json()) == (200, {"new": 1, "unchanged": 0, "ignored": 5})
    assert place.state(account) == "delivered"
    assert "2 about other mail" in caplog.text
    assert "1 about notices that are not ours" in caplog.text
    assert place.post().status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"timestamp": "yesterday"}, "0.timestamp: should be a time"),
        ({"timestamp": None}, "0.timestamp: should be a time"),
        ({"timestamp": True}, "0.timestamp: should be a time"),
        ({"timestamp": 10**30}, "0.timestamp: should be a time"),
        ({"timestamp": -1}, "0.timestamp: should be a time"),
    ],
    ids=str,
)
def test_an_unreadable_event_does_not_affect_others(
    place: Place, changed: dict[str, Any], error: str
) -> None:
    """Readable events are recorded; a post without any is refused with the reason."""
    account, notice = next(place.fresh)
    odd = report("bounce", notice, NOW, **changed)
    refused = place.post(odd)
    assert refused.status_code == 400
    assert re.match(error, refused.json()["error"])
    answer = place.post(odd, report("delivered", notice, NOW))
    assert (answer.status_code, answer.json()["new"]) == (200, 1)
    assert place.state(account) == "delivered"


def test_unusual_text_loses_no_event(place: Place) -> None:
    """Lone surrogates, NUL and very long texts and ids are stored in a cleaned form."""
    account, notice = next(place.fresh)
    odd = report(
        "bounce", notice, NOW, reason="half \ud83d\x00" + "a" * 9000, sg_event_id="i\ud83d" * 4000
    )
    assert place.post(odd).json() == {"new": 1, "unchanged": 0, "ignored": 0}
    assert place.post(odd).json() == {"new": 0, "unchanged": 1, "ignored": 0}
    assert place.state(account) == "bounced"
    numbers = report("bounce", notice, NOW, reason=550, sg_event_id=7)
    assert place.post(numbers).json()["new"] == 1


def test_no_address_is_kept(place: Place) -> None:
    """A server's reply is kept as evidence, without the address."""
    _, notice = next(place.fresh)
    place.post(report("bounce", notice, NOW))
    [(_, reason, provider_id)] = place.events(notice)
    assert reason == "550 5.1.1 <(address)>: no such mailbox"
    assert provider_id
