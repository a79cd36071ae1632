"""A Maildir of reports, which others use too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconsent.mail.reports.folder import put_away, unread


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a Maildir with two mails."""
    (tmp_path / "new").mkdir()
    for name in ("1", "3"):
        (tmp_path / "new" / name).write_text("mail", "utf-8")
    return tmp_path


def test_what_is_no_file_is_left_alone(folder: Path) -> None:
    """A pipe, say, that nobody ever ends."""
    os.mkfifo(folder / "new" / "0")
    (folder / "new" / "2").mkdir()
    assert [mail.name for mail in unread(folder)] == ["1", "3"]


def test_two_processes_may_read_one_folder(folder: Path) -> None:
    """What the other one has taken is not there, or is put away already."""
    mails = unread(folder)
    first = next(mails)
    for mail in unread(folder):
        put_away(mail, understood=True)
    put_away(first, understood=False)
    assert list(mails) == []
    assert sorted(mail.name for mail in (folder / "cur").iterdir()) == ["1:2,S", "3:2,S"]
