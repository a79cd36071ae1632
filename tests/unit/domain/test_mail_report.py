"""What reports and refusals say about mailboxes. RULES 15."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import read
from reconsent.domain.erased_events import without_reason
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent
from reconsent.domain.event_hash import hashed_id
from reconsent.domain.mail_report import NOT_THE_ADDRESS, impersonal, mark_of, speaks_of_mailbox
from reconsent.domain.message_names import mailbox_of
from reconsent.domain.signing import Signer

_keyed = Signer("secret of the tests").address_hash
_REFUSALS = [
    # It does not exist, is disabled, or takes no mail.
    ("550 5.1.1 no such user", True),
    ("550-5.1.1 The email account that you tried to reach does not exist", True),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound", True),
    ("553 5.1.3 bad address syntax", True),
    ("556 5.1.10 null MX: takes no mail", True),
    ("550 5.2.1 The email account is disabled", True),
    ("smtp; 550 5.1.2 host unknown", True),
    ("550 no such mailbox", True),
    ("550", True),
    # An undefined code says nothing, so the reply code decides.
    ("5.0.0 smtp; 550 unknown recipient", True),
    ("5.0.0 smtp; 554 rejected", False),
    # A passing state.
    ("552 5.2.2 mailbox full", False),
    ("452 4.2.2 mailbox full", False),
    ("4.4.1 no answer from host, given up", False),
    ("4.1.1 looked up later", False),
    # The mail, or its sender.
    ("550 5.3.4 message too big", False),
    ("550 5.4.1 Recipient address rejected: Access denied", False),
    ("554 5.6.0 bad content", False),
    ("550 5.7.1 listed by an RBL", False),
    ("550 5.7.26 unauthenticated", False),
    ("553 5.1.8 sender's domain does not exist", False),
    ("550 5.1.7 bad sender's address", False),
    ("550 5.2.3 message too long for the mailbox", False),
    ("551 user not local", False),
    ("554 no", False),
    ("", False),
    # Not a code.
    ("550 5.7.1 client 5.1.1.7 is listed", False),
    ("554 host 5.1.1.7 is listed", False),
    ("554 version 15.1.1 rejects it", False),
]


@pytest.mark.parametrize(("words", "marks"), _REFUSALS)
def test_a_refusal_marks_a_mailbox_only_where_it_speaks_of_it(words: str, *, marks: bool) -> None:
    """An enhanced code decides; without one only a 550 to the recipient does."""
    assert speaks_of_mailbox(words, to_recipient=True) == marks
    only_by_reply = words in {"550", "550 no such mailbox", "5.0.0 smtp; 550 unknown recipient"}
    assert speaks_of_mailbox(words, to_recipient=False) == (marks and not only_by_reply)


_REPORTS = [
    ("bounced", None, "bounced"),
    ("bounced", "550 no such mailbox", "bounced"),
    ("bounced", "550 5.1.1 unknown", "bounced"),
    # A provider that calls it a bounce has given up.
    ("bounced", "554 delivery error: this user does not have an account", "bounced"),
    ("bounced", "550 5.2.1 disabled", "bounced"),
    ("bounced", "552 5.2.2 full", None),
    ("bounced", "552 quota exceeded", None),
    ("bounced", "452 4.2.2 full, given up", None),
    ("bounced", "421 try again later", None),
    ("bounced", "550 5.7.1 spam", None),
    ("bounced", "blocked: 550 5.1.1 unknown", None),
    ("bounced", "blocked: ", None),
    ("dropped", None, "bounced"),
    ("dropped", "Bounced Address", "bounced"),
    ("dropped", "Invalid", "bounced"),
    ("dropped", "Spam Reporting Address", "complained"),
    ("dropped", "Unsubscribed Address", None),
    ("dropped", "Spam Content (if Spam Checker app is enabled)", None),
    ("dropped", "Invalid SMTPAPI header", None),
    ("dropped", "Recipient List over Package Quota", None),
    ("complained", None, "complained"),
    ("complained", "blocked: whatever", "complained"),
    ("delivered", "250 2.1.5 ok", None),
    ("deferred", "450 4.1.1 later", None),
    ("unsubscribed", None, None),
]


@pytest.mark.parametrize(("event", "reason", "expected"), _REPORTS)
def test_reports_mark_mailboxes(event: str, reason: str | None, expected: str | None) -> None:
    """Each by its reason, and still so where nothing personal is left of that."""
    assert mark_of(event, reason) == expected
    kept = impersonal(event, reason)
    assert mark_of(event, kept) == expected
    assert kept in {None, NOT_THE_ADDRESS, "spam reporting address"}


def _message(**fields: str | None) -> Message:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    data = {"event": "bounced", "occurred_at": now.isoformat(), **fields}
    return Message("mail-events", None, json.dumps(data).encode(), (), now)


@pytest.mark.parametrize(
    ("reason", "left"),
    [("550 5.1.1 <ann@example.org>", None), ("5.2.2 full", NOT_THE_ADDRESS), (None, None)],
)
def test_a_report_without_what_is_personal_judges_alike(
    reason: str | None, left: str | None
) -> None:
    """Neither the provider's words nor the address are left, only what they say of the mailbox."""
    provider_id = "<ann@example.org> 7"
    said = _message(notice="n-1", email="ann@example.org", reason=reason, provider_id=provider_id)
    said_less = without_reason(said, _keyed)
    assert b"ann@example.org" not in (said_less.value or b"")
    assert without_reason(said_less, _keyed) == said_less
    data = read(said_less).data
    assert isinstance(data, MailEvent)
    assert (data.notice, data.event, data.email, data.reason) == ("n-1", "bounced", None, left)


def test_a_hash_takes_the_place_of_what_a_report_is_about() -> None:
    """The report counts for the same mailbox, and is the same as the one of before."""
    said = _message(email="Ann@example.org", provider_id="<ann@example.org> 7")
    less = without_reason(said, _keyed)
    data, before = read(less).data, read(said).data
    assert isinstance(data, MailEvent)
    assert isinstance(before, MailEvent)
    assert b"ann" not in (less.value or b"").lower()
    assert mailbox_of(data.email or "", _keyed) == _keyed("ann@example.org")
    assert hashed_id(data.provider_id, _keyed) == hashed_id(before.provider_id, _keyed)
    assert without_reason(less, _keyed) == less


def test_reports_name_a_notice_or_an_address() -> None:
    """One that names neither is about nothing."""
    for message in (_message(notice="n-1"), _message(email="a@b.example")):
        assert isinstance(read(message).data, MailEvent)
    with pytest.raises(BadInputError, match="notice: is required where there is no email"):
        read(_message())
