"""Reports in the forms of several mail servers, and mails that are none."""

from __future__ import annotations

import base64
import quopri
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent
from reconsent.domain.mail_report import mark_of
from reconsent.domain.signing import Signer
from reconsent.mail.reports.reading import Reader
from reconsent.mail.return_path import ReturnPath
from tests.mail_reports import NAMES, report

NOW: Final = datetime(2026, 12, 3, 12, tzinfo=UTC)
NOTICE: Final = UUID("39c051cd-1e9e-83ab-8dc0-91497e6d26ec")
RETURNS: Final = ReturnPath("bounces@shop.example", Signer("secret of the tests"))
EMAIL: Final = "ann@example.org"

SAID: Final = {
    "aol-complaint": ("complained", "complained"),
    "exchange": ("bounced", "bounced"),
    "exim-spam": ("bounced", None),
    "exim-unknown": ("bounced", "bounced"),
    "gmail": ("bounced", "bounced"),
    "postfix-delayed": ("deferred", None),
    "postfix-delivered": ("delivered", None),
    "postfix-full": ("bounced", None),
    "postfix-given-up": ("bounced", None),
    "postfix-unknown": ("bounced", "bounced"),
    "sendmail": ("bounced", "bounced"),
    "ses": ("bounced", "bounced"),
    "yahoo-complaint": ("complained", "complained"),
}
"""The event of each report, and how it marks the mailbox."""
NOTHING: Final = ("postfix-relayed", "yahoo-auth-failure", "yahoo-not-spam")
NO_REPORT: Final = ("qmail", "vacation")


def made(name: str, return_path: str | None = None) -> bytes:
    """Return a report about the notice; its mail had its own return path, or the given one."""
    path = return_path or RETURNS.of(str(NOTICE))
    return report(name, notice=str(NOTICE), email=EMAIL, return_path=path)


def read(
    content: bytes,
    *,
    recipient: str | None = None,
    returns: ReturnPath | None = RETURNS,
    only_signed: bool = False,
) -> list[MailEvent]:
    """Read a report."""
    return Reader(returns, only_signed=only_signed).events(content, recipient, NOW)


def tried(content: bytes) -> list[MailEvent]:
    """Read what may be a report; it is refused in one line if it is none."""
    try:
        return read(content)
    except BadInputError as error:
        [_] = str(error).splitlines()
        return []


def without(content: bytes, *names: str) -> bytes:
    """Leave lines out that have one of these in them."""
    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if not any(name.encode() in line for name in names))


def test_every_form_is_tried() -> None:
    """No file of reports is left out."""
    assert sorted([*SAID, *NOTHING, *NO_REPORT]) == NAMES


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_report_names_its_notice(name: str, line_end: bytes) -> None:
    """By its return path, or by what it returns of the mail; the same report is the same event."""
    event, mark = SAID[name]
    content = made(name).replace(b"\n", line_end)
    [said] = read(content)
    assert (said.notice, said.email, said.event) == (str(NOTICE), None, event)
    assert mark_of(said.event, said.reason) == mark
    assert datetime(2026, 12, 1, 11, tzinfo=UTC) <= said.occurred_at < NOW
    assert EMAIL not in str(said)
    again = b"Received: from elsewhere by here; Thu, 3 Dec 2026 12:00:00 +0000" + line_end + content
    assert name == "postfix-full" or read(again) == [said]
    # A server that has no setting for return paths, or a mail of before it.
    assert read(made(name, "privacy@shop.example"), returns=None) == [said]


@pytest.mark.parametrize("name", [name for name in SAID if name != "aol-complaint"])
def test_a_signed_return_path_is_enough(name: str) -> None:
    """Whatever else is returned, and in whatever header our server names the recipient."""
    content = without(made(name), "X-Reconsent-Notice", str(NOTICE))
    [said] = read(content, only_signed=True)
    assert said.notice == str(NOTICE)
    stranger = content.replace(b"bounces+", b"somebody+")
    for returned_to in (RETURNS.of(str(NOTICE)).upper(), f"<{RETURNS.of(str(NOTICE))}>"):
        [said] = read(stranger, recipient=returned_to, only_signed=True)
        assert said.notice == str(NOTICE)


@pytest.mark.parametrize("name", [name for name in SAID if name != "aol-complaint"])
def test_a_report_without_a_notice_names_the_address(name: str) -> None:
    """As it was given when the mail was sent, where it says so."""
    content = without(made(name, "privacy@shop.example"), "X-Reconsent-Notice")
    [said] = read(content)
    assert (said.notice, said.email, said.event) == (None, EMAIL, SAID[name][0])
    assert mark_of(said.event, said.reason) == SAID[name][1]
    moved = content.replace(
        b"Final-Recipient: rfc822; ann@example.org", b"Final-Recipient: rfc822; ann@elsewhere.org"
    )
    if b"Original-Recipient" in moved:
        assert read(moved) == [said]
    with pytest.raises(BadInputError, match="no return path that was signed"):
        read(content, only_signed=True)


@pytest.mark.parametrize("name", SAID)
def test_a_forged_return_path_reports_nothing(name: str) -> None:
    """Neither about the notice that the report returns, nor about an address."""
    forged = "bounces+" + "a" * 48 + "@shop.example"
    with pytest.raises(BadInputError, match="not one that was signed"):
        read(made(name, "x@shop.example"), recipient=forged)


@pytest.mark.parametrize("name", NOTHING)
def test_some_reports_say_nothing(name: str) -> None:
    """That a mail was passed on, that it is wanted, what software thinks of it."""
    assert read(made(name)) == []


@pytest.mark.parametrize("name", NO_REPORT)
def test_other_mails_are_told_from_reports(name: str) -> None:
    """In one line that says what is missing."""
    with pytest.raises(BadInputError, match=r"not a report: .* message/delivery-status") as raised:
        read(made(name))
    assert "\n" not in str(raised.value)


def test_a_report_may_name_several_addresses() -> None:
    """Each is an event; about a notice there is one: its mail had one recipient."""
    content = made("sendmail", "privacy@shop.example")
    bounced = content.index(b"Final-Recipient")
    end = content.index(b"\n--", bounced)
    second = content[bounced:end].replace(b"ann@", b"bo@").replace(b"failed", b"delivered")
    both = content[:end] + b"\n" + second + content[end:]
    [said] = read(both)
    assert (said.notice, said.event) == (str(NOTICE), "delivered")
    alone = without(both, "X-Reconsent-Notice")
    assert [(one.email, one.event) for one in read(alone)] == [
        (EMAIL, "bounced"),
        ("bo@example.org", "delivered"),
    ]


def test_an_address_outside_ascii_is_read() -> None:
    """Written out, or escaped as in RFC 6533."""
    content = without(made("postfix-unknown", "privacy@shop.example"), "X-Reconsent-Notice")
    content = content.replace(b"message/delivery-status", b"message/global-delivery-status")
    written = "utf-8; åse@bücher.example".encode()
    escaped = rb"utf-8; \x{E5}se@b\x{FC}cher.example"
    for field in (written, escaped):
        changed = content.replace(b"rfc822;ann@example.org", field)
        assert [one.email for one in read(changed)] == ["åse@bücher.example"]


def test_a_report_without_a_date_has_the_time_at_which_it_was_received() -> None:
    """So that the same mail again is the same report."""
    undated = without(made("postfix-unknown"), "Date: ", "Received: ")
    received = (
        b"Received: from mx.example.net by mx.shop.example;\n\tTue, 1 Dec 2026 12:00:05 +0100\n"
    )
    [said] = read(received + undated)
    assert said.occurred_at == datetime(2026, 12, 1, 11, 0, 5, tzinfo=UTC)
    [said] = read(undated)
    assert said.occurred_at == NOW


@pytest.mark.parametrize("name", ["exchange", "ses", "gmail"])
def test_encoded_parts_are_read(name: str) -> None:
    """Gateways encode parts that no standard lets them encode."""
    content = made(name, "privacy@shop.example")
    head, _, rest = content.partition(b"message/delivery-status\n\n")
    status, boundary, end = rest.partition(b"\n--")
    for encoding, encoded in (
        ("base64", base64.encodebytes(status)),
        ("quoted-printable", quopri.encodestring(status)),
    ):
        kind = f"message/delivery-status\nContent-Transfer-Encoding: {encoding}\n\n".encode()
        assert read(head + kind + encoded + boundary + end) == read(content)


def test_a_report_inside_another_mail_is_read() -> None:
    """Some gateways put a warning or a footer around it."""
    inner = made("postfix-unknown")
    outer = b"To: x@y.example\nContent-Type: multipart/mixed; boundary=outer\n\n--outer\n"
    fields = inner[inner.index(b"Content-Type:") :]
    [said] = read(outer + fields + b"\n--outer\n\nFooter\n--outer--\n", returns=None)
    assert said.notice == str(NOTICE)


# ------------------------------------------------------------------ hostile mails


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\0" * 1000,
        b"\xff\xfe" * 1000,
        b"Content-Type: multipart/report; boundary=" + b'"' * 100_000,
        b"Content-Type: multipart/report; boundary=\n\n--\n--\n",
        b"Content-Type: multipart/report" + b'; a="' * 100_000,
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n" * 200_000,
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)
        ),
        b"A" * 1_000_000,
        b"To: " + b"(" * 100_000,
        b"To: a@b\n" * 200_000,
        b"To:\n " + b" a" * 1_000_000,
        b" continued\n" * 100_000,
    ],
    ids=range(14),
)
def test_hostile_mails_are_not_reports(content: bytes) -> None:
    """They are refused in one line."""
    with pytest.raises(BadInputError, match="not a report"):
        read(content)


@pytest.mark.parametrize(
    "status",
    [
        b"",
        b"\n\n\n",
        b"Action\n\nStatus",
        b"Action: failed\nStatus: 5.1.1",
        b"Action: failed\nFinal-Recipient: rfc822; " + b"@" * 100_000,
        b"Action: failed\nFinal-Recipient: rfc822; " + b"a" * 100_000 + b"@b.example",
        b"Action: failed\nFinal-Recipient: utf-8; " + rb"\x{110000}\x{D800}\x{0}@b.example",
        b"Final-Recipient: x400; /C=NO/\nAction: \xff\xff\nStatus: 9.9.9",
        b"Final-Recipient: rfc822; unknown\nStatus: 5.1.1",
    ],
    ids=range(9),
)
def test_a_report_that_names_nobody_is_refused(status: bytes) -> None:
    """It is not clear about whom it is."""
    content = (
        b"Content-Type: multipart/report; boundary=a\n\n--a\n\nSorry.\n--a\n"
        b"Content-Type: message/delivery-status\n\n" + status + b"\n--a--\n"
    )
    assert tried(content) == []


@given(
    name=st.sampled_from(NAMES),
    cuts=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 400)), max_size=3),
    put=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=20)), max_size=3),
    date=st.sampled_from(
        [b"", b"Tue", b"Mon, 31 Dec 99999999999999999999 00:00:00 +9999", b"1 Jan 1900 00:00 -0000"]
    ),
)
def test_damaged_reports_never_fail_otherwise(
    name: str, cuts: list[tuple[int, int]], put: list[tuple[int, bytes]], date: bytes
) -> None:
    """Whatever is missing or added, they give events or one line."""
    content = made(name).replace(b"Date: Tue", b"Date: " + date)
    for start, length in cuts:
        content = content[:start] + content[start + length :]
    for at, some in put:
        content = content[:at] + some + content[at:]
    assert all(event.notice or event.given_email for event in tried(content))
