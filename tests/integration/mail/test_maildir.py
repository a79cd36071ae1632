"""Writing to the local mailbox."""

from __future__ import annotations

import os
import resource
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.errors import OutsideError
from reconsent.mail.mailbox import Mailbox
from reconsent.mail.maildir import Maildir
from reconsent.mail.mime import MimeMail
from tests.mails import MAIL, MARK, person

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def clock() -> datetime:
    """Return noon."""
    return NOON


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a mailbox that does not exist yet."""
    return tmp_path / "home" / "mail"


@pytest.fixture
def maildir(folder: Path) -> Maildir:
    """A mailbox at noon."""
    return Maildir(folder, clock)


def only_mail(folder: Path) -> bytes:
    """Return the bytes of the only mail."""
    [path] = [*(folder / "new").iterdir(), *(folder / "cur").iterdir()]
    return path.read_bytes()


def parsed(content: bytes) -> EmailMessage:
    """Parse a message with the standard library."""
    return message_from_bytes(content, _class=EmailMessage, policy=default)


def body(message: EmailMessage, subtype: str) -> str:
    """Return the text of one of a message's parts."""
    part = message.get_body((subtype,))
    assert part is not None
    return str(part.get_content())


def test_a_message_is_valid_mime(maildir: Maildir, folder: Path) -> None:
    """It has the required headers and parts, and its texts are unchanged."""
    recipient = person(name="Åse Ødegård")
    assert [result.outcome for result in maildir.send(MAIL, [recipient])] == ["accepted"]
    message = parsed(only_mail(folder))
    assert message["Date"].datetime == NOON
    assert message["Message-ID"] == f"<{recipient.notice}@example.no>"
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not message.defects
    assert body(message, "plain") == MAIL.text.replace(MARK, recipient.link)
    assert body(message, "html") == MAIL.html.replace(MARK, recipient.link)


@given(
    name=st.text(max_size=300),
    subject=st.text(max_size=300),
    text=st.text(alphabet=st.sampled_from("aø= .\t\n\u2028%") | st.characters(codec="utf-8")),
    path=st.integers(0, 300),
)
def test_lines_are_short_and_headers_ours(name: str, subject: str, text: str, path: int) -> None:
    """For any name, subject and text: no extra header, no long line, no changed word."""
    mail = replace(MAIL, subject=f"x {subject}", text=f"{text}{MARK}{text}", html=text)
    recipient = replace(person(name=name), link="https://p.example/" + "=" * path + "/c/x")
    content = MimeMail(mail, date=NOON).addressed(recipient, recipient.email)
    assert content.isascii()
    assert b"\r" not in content
    assert max(map(len, content.split(b"\n"))) <= 78
    message = parsed(content)
    assert sorted(message.keys()) == [
        "Auto-Submitted", "Content-Language", "Content-Type", "Date", "From", "MIME-Version",
        "Message-ID", "Subject", "To", "X-Reconsent-Notice",
    ]  # fmt: skip
    assert [address.addr_spec for address in message["To"].addresses] == ["ann@example.com"]
    plain = mail.text.replace("\r\n", "\n").replace("\r", "\n")
    assert body(message, "plain") == plain.replace(MARK, recipient.link)


def test_non_ascii_before_the_at_is_no_obstacle(maildir: Maildir, folder: Path) -> None:
    """A file takes what a mail server with SMTPUTF8 does: a header in UTF-8 (RFC 6532)."""
    recipient = person("åse@bücher.example", "Åse")
    assert maildir.send(MAIL, [recipient])[0].outcome == "accepted"
    assert b"<\xc3\xa5se@xn--bcher-kva.example>" in only_mail(folder)
    [headline] = Mailbox(folder).newest()
    assert headline.to == "Åse <åse@xn--bcher-kva.example>"


def test_sending_again_leaves_one_message(maildir: Maildir, folder: Path) -> None:
    """A notice has one message, also if another process sends it, or it has been read."""
    recipient, other = person(), person()
    maildir.send(MAIL, [recipient])
    before = only_mail(folder)
    assert maildir.send(MAIL, [recipient])[0].outcome == "accepted"
    (folder / "new" / recipient.notice).rename(folder / "cur" / f"{recipient.notice}:2,RS")
    again = Maildir(folder, clock).send(MAIL, [recipient, other])
    assert [result.outcome for result in again] == ["accepted", "accepted"]
    assert [path.name for path in (folder / "new").iterdir()] == [other.notice]
    (folder / "new" / other.notice).unlink()
    assert only_mail(folder) == before


def test_the_mailbox_is_private(folder: Path) -> None:
    """Other users cannot read the mails; existing folders keep their modes."""
    folder.parent.mkdir(mode=0o755)
    Maildir(folder, clock).send(MAIL, [recipient := person()])
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    for path in (folder, folder / "tmp", folder / "new", folder / "cur"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "new" / recipient.notice).stat().st_mode) == 0o600
    folder.chmod(0o750)
    Maildir(folder, clock)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_notice_cannot_point_outside_the_folder(maildir: Maildir) -> None:
    """A notice that is not a plain identifier is not used as a file name."""
    with pytest.raises(ValueError, match="not a plain identifier"):
        maildir.send(MAIL, [replace(person(), notice="../../evil")])


def test_leftovers_of_killed_writers_are_removed(maildir: Maildir, folder: Path) -> None:
    """Drafts that are days old are removed; a recent one stays."""
    maildir.send(MAIL, [person()])
    old, fresh = folder / "tmp" / "old", folder / "tmp" / "fresh"
    old.write_bytes(b"To: someone")
    fresh.write_bytes(b"To: someone")
    os.utime(old, (NOON - timedelta(days=3650)).timetuple()[:2])
    Maildir(folder, clock)
    assert list((folder / "tmp").iterdir()) == [fresh]


@pytest.fixture
def little_room() -> Iterator[None]:
    """Limit files to 5,000 bytes, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("little_room")
def test_a_mail_is_written_whole_or_not_at_all(maildir: Maildir, folder: Path) -> None:
    """If a message cannot be written, one line names the mailbox, and no part of it is left."""
    with pytest.raises(OutsideError, match=f"mailbox {folder}: File too large"):
        maildir.send(MAIL, [person(), person()])
    small = replace(MAIL, subject="s", text="t", html="h", link_mark="")
    results = maildir.send(small, [person(), replace(person(), link="")])
    assert [result.outcome for result in results] == ["accepted", "accepted"]
    assert not list((folder / "tmp").iterdir())
    assert len(Mailbox(folder)) == 2


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    """The error names the folder."""
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError, match=r"mailbox .*/file/mail: Not a directory"):
        Maildir(tmp_path / "file" / "mail", clock)
