"""Reading the local mailbox for its page."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from reconsent.mail.mailbox import Mailbox
from reconsent.mail.maildir import Maildir
from tests.mails import MAIL, MARK, person

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a mailbox that does not exist yet."""
    return tmp_path / "home" / "mail"


@pytest.fixture
def maildir(folder: Path) -> Maildir:
    """A mailbox at noon."""
    return Maildir(folder, lambda: NOON)


def test_the_mailbox_lists_the_newest_first(maildir: Maildir, folder: Path) -> None:
    """Each row has the recipient and the time of a mail, read or not."""
    everyone = [person(f"p{n}@example.com", f"Åse {n}") for n in range(5)]
    maildir.send(MAIL, everyone)
    for n, recipient in enumerate(everyone):
        os.utime(folder / "new" / recipient.notice, (n, n))
    seen = everyone[3].notice
    (folder / "new" / seen).rename(folder / "cur" / f"{seen}:2,S")
    mailbox = Mailbox(folder)
    assert len(mailbox) == 5
    page = mailbox.newest(limit=2, skip=1)
    assert [headline.mail for headline in page] == [seen, everyone[2].notice]
    assert page[0].to == "Åse 3 <p3@example.com>"
    assert page[0].subject == MAIL.subject
    assert page[0].date == NOON


def test_a_mail_is_opened(maildir: Maildir, folder: Path) -> None:
    """One mail shows its text, its HTML and its choose link, read or not."""
    recipient = person()
    maildir.send(MAIL, [recipient])
    mailbox = Mailbox(folder)
    opened = mailbox.open(recipient.notice)
    assert opened
    assert opened.choose_url == recipient.link
    assert opened.text == MAIL.text.replace(MARK, recipient.link)
    assert "Bl&aring;bær" in opened.html
    assert opened.headline == mailbox.newest()[0]
    (folder / "new" / recipient.notice).rename(folder / "cur" / f"{recipient.notice}:2,S")
    assert mailbox.open(recipient.notice) == opened


@pytest.mark.parametrize("mail", ["", "..", "../../secret", "nothing", ".hidden", "a/b", "a\0"])
def test_what_is_not_there_is_not_opened(maildir: Maildir, folder: Path, mail: str) -> None:
    """A name cannot point outside the mailbox."""
    maildir.send(MAIL, [person()])
    (folder.parent / "secret").write_text("Subject: secret\n\nsecret")
    (folder / "new" / ".hidden").write_text("Subject: hidden\n\nhidden")
    assert Mailbox(folder).open(mail) is None


def test_a_missing_mailbox_is_empty(tmp_path: Path) -> None:
    """Before the first mail there is nothing to list."""
    assert Mailbox(tmp_path / "none").newest() == []
    assert len(Mailbox(tmp_path / "none")) == 0


def test_mails_of_other_programs_are_shown_in_part(maildir: Maildir, folder: Path) -> None:
    """A mail without subject, date or parts is shown, without a choose link."""
    maildir.send(MAIL, [])
    (folder / "new" / "1700000000.M1P2.host").write_bytes(b"From: x@example.com\n\n\xff hello")
    mailbox = Mailbox(folder)
    [headline] = mailbox.newest()
    assert (headline.subject, headline.to, headline.date) == ("", "", None)
    opened = mailbox.open(headline.mail)
    assert opened
    assert opened.choose_url is None
    assert "hello" in opened.text
