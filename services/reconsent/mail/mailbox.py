"""Reading the local mailbox, for the page that shows the mails."""

from __future__ import annotations

import heapq
import os
import re
from dataclasses import dataclass
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_MAIL: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
_CHOOSE_LINK: Final = re.compile(r"https?://[^\s<>\"]+/c/[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A mail as a list shows it; `date` is None if the mail has no valid one."""

    mail: str
    subject: str
    to: str
    date: datetime | None


@dataclass(frozen=True, kw_only=True)
class OpenedMail:
    """A mail to read; `choose_url` is None if it asks nothing."""

    headline: Headline
    text: str
    html: str
    choose_url: str | None


class Mailbox:
    """The mails in a Maildir, named by their files without the flags that readers add."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __len__(self) -> int:
        return sum(1 for _ in self._files())

    def newest(self, *, limit: int = 50, skip: int = 0) -> list[Headline]:
        """Return a page of the list, newest first."""
        newest = heapq.nlargest(skip + limit, self._files(), key=_age)
        headlines = (self._headline(entry) for entry in newest[skip:])
        return [headline for headline in headlines if headline]

    def open(self, mail: str) -> OpenedMail | None:
        """Return one mail; None if there is none of that name."""
        path = self._find(mail)
        content = _content(path) if path else None
        if content is None:
            return None
        message = _parsed(content)
        text = _body(message, "plain")
        link = _CHOOSE_LINK.search(text)
        return OpenedMail(
            headline=_headline(mail, message),
            text=text,
            html=_body(message, "html"),
            choose_url=link.group() if link else None,
        )

    def _files(self) -> Iterator[os.DirEntry[str]]:
        for name in ("new", "cur"):
            try:
                entries = os.scandir(self._folder / name)
            except FileNotFoundError:
                continue
            with entries:
                yield from (entry for entry in entries if _MAIL.fullmatch(_name(entry)))

    def _find(self, mail: str) -> Path | None:
        if not _MAIL.fullmatch(mail):  # a name, never a path
            return None
        new = self._folder / "new" / mail
        if new.is_file():
            return new
        names = (entry.name for entry in self._files() if _name(entry) == mail)
        return next((self._folder / "cur" / name for name in names), None)

    def _headline(self, entry: os.DirEntry[str]) -> Headline | None:
        path = self._find(_name(entry))  # a reader may have moved it since it was listed
        content = _content(path) if path else None
        if content is None:
            return None
        headers, _, _ = content.partition(b"\n\n")
        return _headline(_name(entry), _parsed(headers))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name.partition(":")[0]


def _age(entry: os.DirEntry[str]) -> tuple[int, str]:
    try:
        return entry.stat().st_mtime_ns, entry.name
    except FileNotFoundError:
        return 0, entry.name


def _parsed(content: bytes) -> EmailMessage:
    # A header with an international address is in UTF-8; everything else is ASCII.
    text = content.decode(errors="replace")
    return message_from_string(text, _class=EmailMessage, policy=default)


def _headline(mail: str, message: EmailMessage) -> Headline:
    try:
        date = parsedate_to_datetime(str(message["date"]))
    except ValueError:
        date = None
    return Headline(
        mail=mail,
        subject=str(message["subject"] or ""),
        to=str(message["to"] or ""),
        date=date,
    )


def _body(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return str(part.get_content()) if part else ""
