"""Addresses are judged once: what comes in and is kept can be addressed by every provider."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_string, policy
from typing import Final

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reconsent.domain.address import (
    UnusableAddressError,
    ascii_address,
    international_address,
    postal_form,
    usable_address,
)
from reconsent.domain.event import AccountEvent, parse
from reconsent.domain.events_at_once import parse_at_once
from reconsent.mail.mime import MimeMail
from reconsent.mail.sendgrid.request import Addressed, request_body
from reconsent.mail.sendgrid.settings import Handling
from reconsent.mail.smtp.backoff import Backoff
from reconsent.mail.smtp.batch import Batch, Message
from tests.mails import MAIL, person
from tests.stand_ins.sendgrid_rules import faults

NOW: Final = datetime(2027, 1, 1, tzinfo=UTC)
INVISIBLE: Final = [chr(0x200B), chr(0x200C), chr(0x200D), chr(0x2060), chr(0xFEFF), chr(0xAD)]
_JOINERS: Final = INVISIBLE[1:3]
_BLANKS: Final = [*INVISIBLE, " ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200e", "\u2028"]
_NOISE: Final = st.lists(st.sampled_from(_BLANKS), max_size=3).map("".join)
_LOCAL: Final = st.text("abzAZ09.!#$%&'*+/=?^_`{|}~-", max_size=12)
_LABEL: Final = st.text("abzAZ09-", max_size=8) | st.text("aßüÅéøşİжŽ漢ま0-", max_size=5)
_STRANGE: Final = st.text(st.sampled_from('ab@.<>()[]\\",;: \0\r\n\u202e\u2028=?%\ufffd\u037eßåÅ'))
_DOMAIN: Final = st.lists(_LABEL, min_size=1, max_size=4).map(".".join)
_ADDRESSES: Final = st.one_of(
    st.builds("{}@{}".format, _LOCAL, _DOMAIN),
    st.builds("{}@{}".format, _LOCAL | _STRANGE | st.text(max_size=6), _DOMAIN | _STRANGE),
    st.builds("{}@{}.example".format, st.text(max_size=8), _LABEL),
    st.text(max_size=12),
)
PLAIN: Final = st.builds(
    "{}@{}.example".format,
    st.from_regex(r"[a-zA-Z0-9_+]{1,8}(\.[a-z]{1,4})?", fullmatch=True),
    st.sampled_from(["people", "bücher", "straße", "xn--bcher-kva", "a.b", "نامه\u200cی"]),
)


@given(before=_NOISE, address=_ADDRESSES, after=_NOISE)
@example(before="", address="ann@people.example", after=" ")
@example(before="", address="ann@straße.example", after="\u200b")
@example(before="", address="-.example@" + "a." * 124 + "aaaaaa", after="")
@example(before="", address="a" * 64 + "@" + "ü" * 30 + ".example", after="")
@example(before="", address="x\u037e@people.example", after="")
def test_every_provider_can_address_what_is_kept(before: str, address: str, after: str) -> None:
    """In a header, in an envelope and in a request to SendGrid; with one recipient each."""
    try:
        kept = usable_address(before + address + after)
    except UnusableAddressError:
        return
    assert usable_address(kept) == kept
    whole = international_address(kept)
    recipient = person(kept, "Ann, O'Brien")
    mime = MimeMail(MAIL, date=NOW)
    message = message_from_string(mime.addressed(recipient, whole).decode(), policy=policy.SMTPUTF8)
    assert [one.addr_spec for one in message["To"].addresses] == [whole]
    assert message["X-Reconsent-Notice"] == recipient.notice
    batch = Batch(mail=mime, recipients=[recipient], backoff=Backoff(), now=NOW)
    taken = batch.take({"SMTPUTF8": ""})
    assert isinstance(taken, Message)
    assert taken.envelope.rcpt == f"RCPT TO:<{whole}>\r\n".encode()
    assert re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", whole)
    # SendGrid takes no address that is not ASCII before its @, whatever its form.
    if kept.rpartition("@")[0].isascii():
        assert ascii_address(kept) == whole
        to = Addressed(place=0, recipient=recipient, address=whole)
        assert faults(json.loads(json.dumps(request_body(MAIL, [to], Handling()))), set()) == []


@given(PLAIN, _NOISE, _NOISE, st.lists(st.tuples(st.integers(0), st.sampled_from(INVISIBLE))))
def test_blanks_around_and_invisible_characters_are_taken_away(
    address: str, before: str, after: str, inside: list[tuple[int, str]]
) -> None:
    """Whoever copied an address got them along; the address is the one without them."""
    text = address
    for place, character in inside:
        at = place % (len(text) + 1)
        # Between two letters of its language, a joiner would have a meaning.
        if character in _JOINERS and not (text[:at] + text[at:])[max(at - 1, 0) : at + 1].isascii():
            continue
        text = text[:at] + character + text[at:]
    assert usable_address(before + text + after) == address


@pytest.mark.parametrize(
    "read", [parse, lambda topic, line: (parse_at_once(topic, [line]) or [])[0]]
)
@pytest.mark.parametrize(
    ("given_email", "kept"),
    [
        ("Ann+x@Example.com", "Ann+x@Example.com"),
        (" ann@example.com", "ann@example.com"),
        ("ann@example.com\u200b", "ann@example.com"),
        ("\ufeffann@exam\u200dple.com\n", "ann@example.com"),
        ("åse@bücher.example", "åse@bücher.example"),
        ("ann@نامه\u200cی.example", "ann@نامه\u200cی.example"),
        ("", None),
        (" ", None),
        ("ann @example.com", None),
        ("ann\u202e@example.com", None),
        ("ann\ufffd@example.com", None),
        ("ann..b@example.com", None),
        ("ann@example", None),
        ("ann@192.0.2.1", None),
        ("ann@exa_mple.com", None),
        ("ann@example.com.", None),
        ("ann@☕.example", None),
    ],
    ids=ascii,
)
def test_what_an_event_gives_as_an_address(
    read: Callable[[str, bytes], AccountEvent], given_email: str, kept: str | None
) -> None:
    """What can be mended is; the rest counts as no address, and loses nothing else."""
    fact = {
        "property": "shop.example",
        "account": "ann",
        "status": "active",
        "contact": "none",
        "updated_at": "2026-11-01T10:00:00Z",
        "email": given_email,
    }
    event = read("accounts", json.dumps(fact).encode())
    assert event.email == kept
    assert (event.email, event.contact) == (kept, "none")


@given(_ADDRESSES)
def test_a_reason_does_not_repeat_the_address(address: str) -> None:
    """It is printed and logged."""
    assume(len(address) > 3)
    reason = ""
    try:
        usable_address(address)
    except UnusableAddressError as error:
        reason = str(error)
    assert address not in reason
    assert reason.isprintable()


_LETTERS: Final = st.text("aAbZzßẞsSåÅéşŞ\u0131İKжЖΣ\u03c3ς", min_size=1, max_size=6)


@given(_LETTERS, st.sampled_from(["bücher", "straße", "EXAMPLE", "日本", "Øre", "a.b"]))
def test_a_mailbox_has_one_postal_form(local: str, domain: str) -> None:
    """It is the same for each spelling, and its own."""
    email = f"{local}@{domain}.example"
    form = postal_form(email)
    assert postal_form(form) == form
    for other in (
        unicodedata.normalize("NFD", local) + f"@{domain}.example",
        f"{local}@{domain.upper()}.EXAMPLE" if "ß" not in domain else email,
        international_address(email),
        international_address(email).upper() if local.isascii() else email,
        usable_address(f" {email}\u200b"),
    ):
        assert postal_form(other) == form
    assert form.rpartition("@")[2].isascii()


@given(st.text(max_size=20))
def test_any_text_has_a_postal_form(text: str) -> None:
    """What is hashed may come from a report, or from a release that judged otherwise."""
    assert postal_form(postal_form(text)) == postal_form(text)


def test_sharp_s_is_not_ss() -> None:
    """They are other people's mailboxes."""
    for sharp, double in (("ß@a.example", "ss@a.example"), ("a@ß.example", "a@ss.example")):
        assert postal_form(sharp) != postal_form(double)
    assert postal_form("Ann@Straße.example") == "ann@xn--strae-oqa.example"
